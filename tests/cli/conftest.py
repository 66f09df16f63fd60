import pytest
from support.ledger import Ledger, fill


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return fill(tmp_path_factory.mktemp("site"))
