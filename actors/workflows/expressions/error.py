"""ExpressionError: an expression that cannot be read, or that names what is not there."""

from ....bus.errors import ActoriumError

_SHOWN = 200  # characters of a source


class ExpressionError(ActoriumError):
    """Raised for an expression that cannot be read or has no value; nothing was done.

    Another try with the same values ends the same.
    """

    code = "expression_error"

    def told_of(self, where: str) -> "ExpressionError":
        """The same error, said of the one whose expression it is."""
        if not where or self.fields.get("where"):
            return self
        return ExpressionError(f"{where}: {self.message}", **{**self.fields, "where": where})


def expression_error(told: str, source: str, at: int, where: str = "") -> ExpressionError:
    """The error of one expression.

    Args:
        told: What is wrong, and what to do.
        at: Offset in the source.
        where: Whose expression it is: `steps.fetch.inputs.url`.
    """
    shown = source if len(source) <= _SHOWN else source[:_SHOWN] + "..."
    message = f"in {shown!r} at column {at + 1}: {told}"
    return ExpressionError(message, expression=shown, column=str(at + 1)).told_of(where)
