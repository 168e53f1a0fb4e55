"""Options that verbs have together."""

import inspect

from otel_voicebot.cli.options import Now, Question, Written, grouped


@grouped
def asks(name: str, *, many: bool = False, question: Now, written: Written) -> int:
    """A verb."""
    assert question == Question(bot="bank")
    assert (name, many, written.kind()) == ("a", False, "csv")
    return 7


def test_a_verb_has_the_options_of_its_groups_in_their_place() -> None:
    """Each field is an option with its default, but for what the group is without; the verb gets the group."""
    shown = inspect.signature(asks).parameters
    labels = ["data", "since", "until", "bot", "channel", "variant", "environment", "intent"]
    assert list(shown) == ["name", "many", *labels, "format_", "json", "csv", "output"]
    given = {name: one.default for name, one in shown.items() if name != "name"}
    assert asks(name="a", **{**given, "bot": "bank", "csv": True}) == 7
