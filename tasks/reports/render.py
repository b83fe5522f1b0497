"""Render pages from the templates of this package.

::

    values (small, frozen)  ->  render("validation.html.j2", ...)  ->  one self-contained page
                                 templates/page.html.j2, style.css     light and dark, no network

Templates define the layout, Python prepares the values. HTML and SVG templates escape all values.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from tasks.reports import numbers

_FILTERS = (
    numbers.format_change,
    numbers.format_count,
    numbers.format_counted,
    numbers.format_estimate,
    numbers.format_number,
    numbers.format_power,
    numbers.format_share,
    numbers.format_signed,
    numbers.isolate,
    numbers.keep_together,
    numbers.printable,
    numbers.shorten,
    numbers.spoken,
)


@cache
def _environment() -> Environment:
    from tasks.reports import charts  # noqa: PLC0415 - charts import this module

    environment = Environment(
        loader=PackageLoader("tasks.reports"),
        autoescape=select_autoescape(["html.j2", "svg.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in _FILTERS:
        environment.filters[function.__name__] = function
    environment.globals |= {"baseline_at": charts.BASELINE_AT, "bound_at": charts.BOUND_AT}
    return environment


def render(template: str, **values: object) -> str:
    """Render a template of this package."""
    return _environment().get_template(template).render(values) + "\n"
