"""What the bot does next: loans (with disclosure and consent), payment plans, balances, complaints, questions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.demo.bank import Tools
from otel_voicebot.demo.understanding import Meaning

__all__ = ["Dialogue", "Question", "Step"]

Question = Literal["need", "consent", "amount", "months", "account", "case", "more"]
_PATIENCE: Final = 2
"""Utterances not understood in a row after which the bot gives the call to a human."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the bot says, and what it waits for then.

    Attributes:
        template: the reply's name in ``replies.toml``; "faq" for an answer from the bank's knowledge.
        expects: the question that is open then; None ends the call.
        facts: what the reply names.
        handoff: who wants a human, when the call goes to one.
        compliance: id of the compliance prompt that the reply is.
    """

    template: str
    expects: Question | None
    facts: Mapping[str, str] = field(default_factory=dict)
    handoff: Literal["caller", "bot"] | None = None
    compliance: str | None = None


_FIRST_STEPS: Final = {
    "loan": Step("disclosure", "consent", compliance="loan-disclosure-1"),
    "payment_plan": Step("ask_months", "months"),
    "balance": Step("ask_account", "account"),
    "complaint": Step("complaint", "case"),
    "yes": Step("what_else", "need"),
    "no": Step("goodbye", None),
    "goodbye": Step("goodbye", None),
}
_WORKFLOWS: Final = {"loan": "loan_application", "payment_plan": "payment_plan", "complaint": "complaint"}
_NEEDS: Final = ("loan", "payment_plan", "balance", "complaint")


class Dialogue:
    """One call's state. ``next`` may use tools and raises what they raise.

    Attributes:
        intent: what the caller wanted first.
        solved: something the caller wanted was done.
    """

    def __init__(self, tools: Tools) -> None:
        self.intent: str | None = None
        self.solved = False
        self._tools = tools
        self._expects: Question = "need"
        self._workflow: str | None = None
        self._missed = 0
        self._answers: dict[Question, Callable[[Meaning], Step | None]] = {
            "need": self._need,
            "consent": self._consent,
            "amount": self._amount,
            "months": self._months,
            "account": self._account,
            "case": self._case,
            "more": self._more,
        }

    def next(self, meaning: Meaning) -> Step:
        """The step that answers what the caller said."""
        step = self._human() if meaning.intent == "agent" else self._answer(meaning)
        if step is None:
            self._missed += 1
            step = Step("again", self._expects) if self._missed < _PATIENCE else Step("handoff", None, handoff="bot")
        else:
            self._missed = 0
        if step.expects is not None:
            self._expects = step.expects
        return step

    def failed(self) -> Step:
        """The step after a tool failed: say so and end."""
        self._end_workflow("workflow_failed")
        return Step("trouble", None)

    # ---- answers to the bot's questions; None: not understood ------------------------------------------------------

    def _answer(self, meaning: Meaning) -> Step | None:
        return None if meaning.fallback else self._answers[self._expects](meaning)

    def _need(self, meaning: Meaning) -> Step | None:
        intent = meaning.intent or ""
        if intent in _NEEDS or intent.startswith("faq_"):
            self.intent = self.intent or intent
        if intent.startswith("faq_"):
            self.solved = True
            return Step("faq", "more")
        if intent in _WORKFLOWS:
            self._start_workflow(_WORKFLOWS[intent])
        return _FIRST_STEPS.get(intent)

    def _consent(self, meaning: Meaning) -> Step | None:
        if meaning.intent == "yes":
            return Step("ask_amount", "amount")
        if meaning.intent == "no":
            self._end_workflow("workflow_failed")
            return Step("declined", "more")
        return None

    def _amount(self, meaning: Meaning) -> Step | None:
        if (amount := _named("amount", meaning)) is None:
            return None
        granted = self._tools.credit_check(amount)
        self._done()
        return Step("loan_granted" if granted else "loan_review", "more", {"amount": amount})

    def _months(self, meaning: Meaning) -> Step | None:
        if (months := _named("months", meaning)) is None:
            return None
        facts = {"months": self._tools.payment_plan(months)}
        self._done()
        return Step("plan_ready", "more", facts)

    def _account(self, meaning: Meaning) -> Step | None:
        if (account := _named("account", meaning)) is None:
            return None
        facts = {"balance": self._tools.balance(account)}
        self._done()
        return Step("balance", "more", facts)

    def _case(self, meaning: Meaning) -> Step | None:
        if meaning.intent == "no":
            self._end_workflow("workflow_failed")
            return Step("no_case", "more")
        if meaning.intent != "yes":
            return None
        facts = {"case": self._tools.case()}
        self._done()
        return Step("case_open", "more", facts)

    def _more(self, meaning: Meaning) -> Step | None:
        return self._need(meaning)

    def _human(self) -> Step:
        self._end_workflow("workflow_failed")
        self.intent = self.intent or "agent"
        return Step("handoff", None, handoff="caller")

    # ---- workflows -------------------------------------------------------------------------------------------------

    def _start_workflow(self, name: str) -> None:
        self._workflow = name
        vb.event("workflow_started", {semconv.WORKFLOW: name})

    def _end_workflow(self, how: Literal["workflow_completed", "workflow_failed"]) -> None:
        if self._workflow is not None:
            vb.event(how, {semconv.WORKFLOW: self._workflow})
            self._workflow = None

    def _done(self) -> None:
        self.solved = True
        self._end_workflow("workflow_completed")


def _named(entity: str, meaning: Meaning) -> str | None:
    value = meaning.entities.get(entity)
    if value is not None:
        vb.event("entity_extracted", {semconv.ENTITY: entity})
    return value
