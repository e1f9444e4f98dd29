"""The parameters of lists, described for the OpenAPI document; what they are is said in `service.api.params`."""

from collections.abc import Sequence

from service.api.operation import Parameter
from service.api.params import LONGEST_VALUE, MOST_PAGES, MOST_PER_PAGE, PER_PAGE

TEXT = {"type": "string", "maxLength": LONGEST_VALUE}
INTEGER = {"type": "integer"}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$"}


def list_parameters(sorts: Sequence[str], *filters: Parameter) -> tuple[Parameter, ...]:
    """Those of a list with these sorts; all have a time besides their own filters."""
    return (
        Parameter("page", "Which page.", {"type": "integer", "minimum": 1, "maximum": MOST_PAGES, "default": 1}),
        Parameter(
            "per_page",
            "How many to a page.",
            {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE},
        ),
        Parameter(
            "sort",
            "The order; with `-` the other way round.",
            {"type": "string", "enum": [*sorts, *(f"-{name}" for name in sorts)], "default": "id"},
        ),
        *filters,
        Parameter(
            "filter[from]", "Not before this time, in the PBX's timezone; a date means its first second.", MOMENT
        ),
        Parameter("filter[to]", "Not after this time, in the PBX's timezone; a date means its last second.", MOMENT),
    )
