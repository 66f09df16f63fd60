"""The shipped demo model, through the real inspector, on a camera that nobody has seen."""

from build_demo_model import MEASURING_SEED, RECIPE, TRAINING_SEED, measure

from inspectd.demo.site import MODEL
from inspectd.model.bundle import load_bundle

SEED = 2027
PICTURES = 400


def test_it_is_right_on_new_pictures_and_its_heat_is_on_the_defect() -> None:
    assert SEED not in (TRAINING_SEED, MEASURING_SEED)
    measured = measure(load_bundle(MODEL), SEED, PICTURES)
    assert measured.accuracy >= 0.99
    assert measured.on_defect >= 0.95 * measured.found


def test_it_was_made_by_the_recipe_that_makes_it_again() -> None:
    spec = load_bundle(MODEL).spec
    assert spec.preparation == RECIPE.preparation
    for choice in ("backbone", "head", "weights", "epochs", "batch", "rate", "flips", "rotations", "precision", "seed"):
        assert spec.training[choice] == getattr(RECIPE, choice)


def test_it_is_small_and_has_a_card() -> None:
    files = [file for file in MODEL.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    card = (MODEL / "card.md").read_text()
    for chapter in ("What it is for", "Measured on another camera", "Limits", "How it is made again"):
        assert f"## {chapter}" in card
