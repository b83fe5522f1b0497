"""A picture as a small file: drawn once, in few colours."""

from io import BytesIO
from typing import Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

_DPI: Final = 80
_COLOURS: Final = 64


def small_png(figure: Figure) -> bytes:
    """Write a figure as PNG of few colours.

    The figure's own method would draw it twice, the first time only to lay it out.

    Examples
    --------
    >>> small_png(Figure())[1:4]
    b'PNG'
    """
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    drawn.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(
        small := BytesIO(), format="png", optimize=True
    )
    return small.getvalue()
