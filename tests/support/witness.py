"""Who watches a training in tests."""


class Witness:
    """Remembers what it was told; `at` interrupts the training when a stage that begins so is reported."""

    def __init__(self, at: str | None = None) -> None:
        self.at = at
        self.said: list[str] = []
        self.stages: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def progress(self, stage: str, done: int, total: int) -> None:
        assert 0 < done <= total
        if stage not in self.stages:
            self.stages.append(stage)
        if self.at and stage.startswith(self.at):
            raise KeyboardInterrupt

    def figures(self, beginning: str) -> list[str]:
        """The sentences that begin so."""
        return [sentence for sentence in self.said if sentence.startswith(beginning)]
