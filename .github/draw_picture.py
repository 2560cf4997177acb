"""Draws page-and-reading.png: a sample as it was scanned, and beside it what docscan reads there.

    python .github/draw_picture.py

The numbers stand where they were found; green ones are sure, amber ones should be looked at.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import docscan
from docscan.records import Number

ROOT = Path(__file__).parent.parent
SCAN = ROOT / "samples" / "coloured-ink" / "page.jpg"
PICTURE = Path(__file__).parent / "page-and-reading.png"

TOP, BOTTOM = 0.305, 0.72  # of the page: enough to see how it works, one doubtful number included
WIDTH_PX = 560  # of each half
GAP_PX = 24
COLOURS = 96  # in the file: the picture stays below 250 kB
SURE, DOUBTFUL, PAPER = (24, 128, 56), (200, 110, 0), (255, 255, 255)
LARGEST_TEXT = 0.8  # of the number's height


def draw_number(draw: ImageDraw.ImageDraw, number: Number, scale: float, corner: tuple[float, float]) -> None:
    """Write what was read where it was read, with its confidence after it where a person should look."""
    box = number.box
    x, y = corner[0] + box.left * scale, corner[1] + box.top * scale
    width, height = box.width * scale, box.height * scale
    colour = DOUBTFUL if number.review else SURE
    size = min(LARGEST_TEXT * height, width / (0.58 * len(number.text)))
    draw.rectangle((x - 3, y - 3, x + width + 3, y + height + 3), outline=colour, width=2)
    centre = x + width / 2, y + height / 2
    draw.text(centre, number.text, fill=colour, font=ImageFont.load_default(size), anchor="mm")
    if number.review:
        beside = x + width + 10, y + height / 2
        draw.text(beside, f"{number.confidence:.0%} ?", fill=colour, font=ImageFont.load_default(18), anchor="lm")


def main() -> None:
    """Read the sample, draw, save."""
    scan = Image.open(SCAN).convert("RGB")
    page = docscan.read_page(SCAN)
    top, bottom = round(TOP * scan.height), round(BOTTOM * scan.height)
    scale = WIDTH_PX / scan.width
    height = round((bottom - top) * scale)
    picture = Image.new("RGB", (2 * WIDTH_PX + GAP_PX, height), PAPER)
    picture.paste(scan.crop((0, top, scan.width, bottom)).resize((WIDTH_PX, height), Image.Resampling.LANCZOS), (0, 0))
    draw = ImageDraw.Draw(picture)
    left = WIDTH_PX + GAP_PX
    for number in page.numbers:
        if top <= number.box.top and number.box.bottom <= bottom:
            draw_number(draw, number, scale, (left, -top * scale))
    draw.rectangle((left, 0, picture.width - 1, height - 1), outline=(200, 200, 200))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
