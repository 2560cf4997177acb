"""Every number that can change a result, with its unit and the reason for its value.

Lengths are stated relative to the page's own digits or in millimetres, never in pixels of one resolution.
"""

import difflib
import hashlib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from docscan.errors import SettingsError

BinariseMethod = Literal["local", "adaptive", "wolf", "sauvola", "otsu"]
Colour = Literal["red", "green", "blue"]
"""Of print to leave out."""


@dataclass(frozen=True, slots=True)
class BinariseSettings:
    """Which pixels are ink."""

    method: BinariseMethod = "local"
    """`local`: as dark as the ink near by, against the paper near by. `adaptive`, `wolf`, `sauvola`: by the mean of the
    window, and its spread. `otsu`: one threshold for the page."""
    side_px: int = 600
    """Polarity and paper are judged on a page reduced to about this short side: 4 x for A4 at 300 dpi."""
    windows_per_side: float = 24
    """The paper window is this part of the short side (9 mm of A4): wider than any pen stroke."""
    min_window_px: int = 15
    """... and at least this wide, so that a 30 px high cell is not all window."""
    min_windows: float = 8
    """A picture of fewer to its short side is one string, in one pen, perhaps in its cell: a line is no ink there that
    others are measured by,"""
    frame_share: float = 0.65
    """which is at least this part of the short side,"""
    strip_contrast: float = 0.06
    """and ink is darker than its paper by this share, not by `min_contrast`."""
    ink_share: float = 0.35
    """Ink is at least this share as dark as the darkest ink near by: below half, for faint beside bold."""
    pale_share: float = 0.25
    """... and what is at least this share as dark may be a printed line: a form is paler than what is written in it."""
    min_contrast: float = 0.08
    """... and darker than the paper by at least this share of the paper's brightness: faint pencil is by 0.08."""
    noise_sigmas: float = 4
    """... and by this many standard deviations of the grain,"""
    min_darkness: float = 0
    """and by this many gray levels: 0 but for squared paper, and where something shows through from the other side;"""
    min_pale_darkness: float = 0.77
    """a printed line by this share of that: it may be as pale as what shows through."""
    sauvola_k: float = 0.2
    """How far below the mean of a flat window Sauvola's threshold lies, as a share of it."""
    wolf_k: float = 0.3
    """... and Wolf's, as a share of the way to the darkest pixel of the page."""
    min_paper: float = 0.3
    """Paper darker than this share of the sheet's is the table the sheet lies on: no ink there. Shadows leave 0.4."""
    min_sheet: float = 0.2
    """Beside the largest sheet on a table, others are at least this share of its size: a gleam is no sheet."""


@dataclass(frozen=True, slots=True)
class BackdropSettings:
    """When what is pale on a page is squared paper, or shows through from its other side."""

    min_glyphs: int = 12
    """On fewer there is nothing to tell."""
    well_read: float = 0.93
    """A page of whose digits this share are of sure numbers is not looked at;"""
    sure: float = 0.9
    """a number is sure from here on."""
    sample: int = 512
    """How dark so many glyphs are is measured, evenly over the page,"""
    most: int = 256
    """and so many of the dark ones, and of the pale ones, are read."""
    sure_digit: float = 0.9
    """Surer than this, one is a digit. Dark digits are writing;"""
    max_darkness: float = 0.5
    """what shows through is no darker than this share of it."""
    min_mirrored: int = 8
    """So many of the pale glyphs are digits when mirrored and none as they stand,"""
    min_lead: float = 4
    """and this many times as many as the other way about: pale print has letters like E and P;"""
    palest: float = 0.33
    """of those no darker than this share of what is written"""
    min_lead_of_palest: float = 3
    """no more than this: pencil beside a form's bold print has twice as many."""
    darkest: float = 90
    """What shows through is as dark as this percentile of those,"""
    above: float = 1.3
    """and a stroke in places by this factor; so are the lines of squared paper,"""
    max_squares: float = 0.6
    """which is left out where that is no darker than this share of what is written."""


@dataclass(frozen=True, slots=True)
class StraightenSettings:
    """When a page is turned before it is read."""

    least_deg: float = 2.5
    """Lines less askew are read as they run: numbers 60 mm apart are still seen to be level with each other."""
    most_deg: float = 35.0
    """Skew is looked for up to here; a scanner makes 15 at most, a phone twice that."""
    side_px: int = 600
    """Skew is measured on a page reduced to about this short side ..."""
    margin: float = 0.03
    """... less this share of it at every edge, where scanners and the edges of tables leave level bars."""
    min_side_px: int = 200
    """A picture with a shorter side is a line or a cell, not a page: it stays as it is."""
    min_gain: float = 1.3
    """A page is levelled where that makes its lines this many times as sharp ..."""
    min_halves: int = 3
    """... and where so many of its top, bottom, left and right halves agree, to a degree, on the angle."""
    least_row_deg: float = 12.0
    """The only row on a picture is levelled where it slopes by this: less leaves its digits in a row,"""
    max_off_row: float = 0.5
    """where no piece's middle is further from it than this share of a piece's length,"""
    max_row_gap: float = 1.0
    """none further from the next,"""
    min_row_piece: float = 0.35
    """and what is no shorter than this share of the longest counts as a piece."""
    quarter_turns: bool = True
    """Whether a page that reads badly is held against itself turned by 90, 180 and 270 degrees."""
    min_glyphs: int = 16
    """... which takes so many candidate digits to tell, unless their lines run up and down,"""
    many_glyphs: int = 64
    """(which is not asked of a page that reads well and has so many: a few on their side may pass for noughts)"""
    in_line: float = 1.0
    """those in a line are no further apart than this share of the smaller,"""
    alike: float = 1.6
    """the larger is no more than this many times as large,"""
    clear_lines: float = 3.0
    """... and so many times more have their nearest neighbour along the lines than across: five times and more but for
    grids of single digits,"""
    least_in_line: int = 3
    """and these at least."""
    sure: float = 0.9
    """A page reads well where digits and numbers at least this sure, 0..1, ..."""
    well_read_digits: float = 0.7
    """... in a row are this share of all digits: three in four at least upright, three in five at most turned;"""
    in_a_row: float = 0.3
    """(and at least this share of all candidates)"""
    well_read_glyphs: float = 0.75
    """... or this share of all candidates: nine in ten where digits alone are upright, half where upside down."""
    sample: int = 96
    """Candidates that are read in all four turns."""
    voting: float = 0.4
    """Readings that vote, as a share of the sample: the surest of all four turns together."""
    min_lead: float = 1.2
    """The turn with the most votes needs this many times those of the page as it is ..."""
    min_sure: float = 0.4
    """... and this share of its candidates to be sure digits,"""
    min_upright: float = 0.6
    """and once the page is read so, this share of its digits to stand in sure numbers: seven in ten at least on pages
    of numbers, one in two at most on print turned so."""
    min_sure_on_side: float = 0.3
    """Where lines run up and down, this share will do, ..."""
    min_better: float = 3.0
    """if it is so many times that of the page as it is: a form is full of words whichever way it lies."""


@dataclass(frozen=True, slots=True)
class RulingSettings:
    """Which lines are printed and come out of the ink; lengths in digit heights where no unit is named."""

    side_px: int = 800
    """Lines are looked for on a page reduced to about this short side: 3 x for A4 at 300 dpi."""
    min_run: float = 0.8
    """A line is built from straight runs at least this long: the bar of a 5 is shorter."""
    join_gap: float = 0.3
    """Runs no further apart than this are one line."""
    min_length: float = 3.5
    """A line on its own is at least this long: a dash, a fraction bar, a tall 1 are not."""
    min_side: float = 1.2
    """A side of a box, held by other lines or the edge of the page, is at least this long: the stem of a 4 is not."""
    overshoot: float = 0.3
    """... and runs on past the line that holds it by no more than this."""
    slenderness: float = 7
    """A line is this many times as long as it is thick: a boxy 0 is not made of lines;"""
    slender: float = 9
    """an upright less slender than this is one between two lines, as a comb's dividers are,"""
    min_cell: float = 1.5
    """that are at least this long: it may be the stem of a bold letter;"""
    least_slender: float = 6
    """and one less slender than lines are, down to this, as the dividers are that were blurred, between two"""
    min_comb: float = 2.5
    """that are at least this long."""
    max_between: float = 0.7
    """Boxes one below the other are no further apart, if what looks like a line through them is the sides of each."""
    max_digit_row: float = 1.6
    """Between lines that are no further apart, an upright from the one to the next is a digit,"""
    row_evenness: float = 0.2
    """if another line is as far off, but for this share."""
    max_faded: float = 4.0
    """A table's line that has faded goes on after no more than this, or up to the next line across it,"""
    min_faded: float = 0.15
    """if on this share of the way there is ink."""
    min_box: float = 1.0
    """A box for one digit whose sides are too thick for lines is no smaller than this, either way,"""
    max_box: float = 2.5
    """and no larger than this,"""
    min_in_box: float = 0.5
    """and what is in it no lower than this;"""
    box_evenness: float = 0.2
    """others that are as large but for this share are boxes too, if empty."""
    max_thickness: float = 0.5
    """Thicker than this is a dark area."""
    max_slope: float = 0.1
    """Steeper than this, across over along, is a stroke: 5.7 degrees."""
    piece: float = 4.0
    """A line is followed in straight pieces of about this length: photographs bend it."""
    row_share: float = 0.5
    """Rows of a piece with at least this share of the ink of its fullest row are the line."""
    slack: float = 0.3
    """Ink thicker than the line by more than this share of its thickness, and by more than a pixel, is a stroke ..."""
    fringe_share: float = 0.2
    """... if it leaves the rows that hold at least this share of the ink of the fullest one"""
    protrusion: float = 0.15
    """by more than a pixel and this share of those rows; else the line is ragged: the edge of a photographed sheet."""
    max_bridge: float = 0.4
    """Between two strokes no further apart than this, the line is looked at more closely:"""
    bridge_px: float = 0.6
    """ink thicker than the line by this many pixels on average belongs to the strokes, such as the base of a 2."""
    frame_zone: float = 0.6
    """A picture cut out along the lines of its cell has them no further from its edge than this,"""
    frame_share: float = 0.55
    """along this share of the edge,"""
    frame_piece: float = 0.25
    """or, a piece that comes in from the corner, this share;"""
    frame_thickness: float = 0.3
    """thinner than this,"""
    frame_length: float = 1.4
    """and off the picture or at least this long: a 1 at the end of a tight string is as long as a digit."""
    string_px: int = 120
    """A picture with a side shorter than this is one string, perhaps in its cell or comb: a line there runs off it"""
    string_share: float = 0.75
    """or has ink along this share of it; and does both, an upright one from edge to edge,"""
    string_thin: float = 0.75
    """or is no thicker than this part of the pen's strokes; or is held by others at both ends, two uprights at least:
    others are 1s and feet of noughts."""
    least_squares: int = 14
    """Squared paper has so many lines both ways: a sudoku has ten,"""
    square_seen: float = 0.35
    """each of which shows over this share of the page, and is"""
    square_evenness: float = 0.08
    """as far from the next both ways, but for this share; from one to the next, twice that,"""
    square_share: float = 0.7
    """in so many places;"""
    beside_squares: float = 0.7
    """and so much of the ink is along them, against what is in the middle of the squares, or they run to the edges."""


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """Which connected components could be digits."""

    min_height: float = 0.35
    """Lower than this share of the page's digit height is a speck or a mark."""
    min_mark: float = 0.7
    """Shorter both ways than this many strokes is a speck, not even a point."""
    min_flatness: float = 1.5
    """A dash is at least this many times as wide as it is high, and a digit is higher than a dash by as much."""
    max_mark: float = 1.0
    """Longer than this many digit heights is no sign, but a line."""
    dot_fill: float = 0.7
    """A piece about as wide as high, with ink in this share of its box,"""
    max_dot: float = 0.6
    """and no higher than this many digit heights, is a dot."""
    min_ring: float = 1.2
    """At least so many digit heights high is a circle around a digit,"""
    min_in_ring: float = 0.5
    """which is at least this high,"""
    ring_share: float = 0.45
    """and has the circle's ink along this share of each of its sides;"""
    ring_hollow: float = 0.7
    """up to this share of its radii the circle has none."""
    max_height: float = 4.5
    """Higher than this many digit heights is a drawing or a ruling; a pen writes three times as high as small print."""
    max_aspect: float = 3.0
    """Wider than this many of its own heights is a dash or a ruling."""
    max_string: float = 8.0
    """Where nothing has a digit's proportions, a piece no wider than this many of its heights may be a whole string."""
    min_fill: float = 0.1
    """A piece of less ink than this share of its box is a frame or a grid, and says nothing of the digits' height."""
    frame_share: float = 0.15
    """Where at least this share of the pieces of the usual height hold another, they are boxes for a digit each."""
    min_two_rows: float = 1.5
    """A piece at least this many digit heights high, across a line of rows that are tight, is of two rows:"""
    tight_rows: float = 1.6
    """lines that are no more than this many digit heights apart,"""
    least_rows: float = 0.8
    """and no less than this: those of millimetre paper are no rows;"""
    min_of_row: float = 0.5
    """if on either side this much of it is left."""
    min_height_px: int = 7
    """Nobody reads a digit of fewer pixels."""
    min_page_share: float = 1 / 250
    """... nor one lower than this share of the page's longer side: 1.2 mm of A4."""
    min_digit_mm: float = 1.2
    """The smallest digit people write, where the resolution is known."""
    max_digit_mm: float = 40
    """The largest."""


@dataclass(frozen=True, slots=True)
class GlyphSettings:
    """How components become candidate digits."""

    join_gap: float = 0.25
    """Pieces stacked no further apart than this share of the digit height are one digit: a 5 and its bar."""
    join_overlap: float = 0.5
    """... where they share this part of the narrower one's width."""
    join_height: float = 1.6
    """... and are together no higher than this many digit heights."""


@dataclass(frozen=True, slots=True)
class LayoutSettings:
    """How digits become numbers and lines; lengths in digit heights."""

    max_gap: float = 0.75
    """Digits further apart than this share of the higher one's height are two numbers. On drawn pages those of one
    number are up to 0.75 apart, where a 5 has lost its bar, those of two at least 0.93."""
    gap_spread: float = 0.05
    """How fast the chance that two digits are of one number falls about `max_gap`: 98 % at 0.55, 2 % at 0.95."""
    min_overlap: float = 0.45
    """Neighbours share at least this part of the lower one's height."""
    max_height_ratio: float = 2.6
    """Neighbours are no more than this many times as high as each other: a flat 5 beside a tall 6."""
    max_letter_gap: float = 0.5
    """Letters and digits no further apart than this are one word."""
    max_letter_ratio: float = 1.9
    """In a text, letters of one word are no more than this many times as high as their neighbours: a number written
    hard by its label is none of it."""
    max_unread_share: float = 0.2
    """Where more than this share of three or more neighbours, and more than one, are no digits, it is a word: the oo of
    Room are no 00."""
    max_comb_cell: float = 1.6
    """The cells of a comb are no wider than this: one digit fits with its margins, two do not."""
    max_comb_height: float = 2.6
    """... and its dividers no higher than this many of the page's usual digit heights."""
    comb_evenness: float = 0.75
    """... and next to each other no narrower than this share of the wider."""
    max_comb_gap: float = 0.6
    """Boxes for a digit each that stand apart by no more than this share of their width are one comb."""
    min_squared: int = 12
    """On squared paper with so many digits,"""
    squared_share: float = 0.8
    """this share of them in a square of their own"""
    squared_middle: float = 0.5
    """and in this part of its width, each has one, and those in neighbouring squares are one number;"""
    max_side: float = 0.1
    """what is no further from a line, and no more than twice as wide, is left of the line."""
    max_space: float = 1.6
    """Words no further apart than this are of one text,"""
    max_level_space: float = 3.0
    """or than this where their letters stand on one line, as a typewriter's do,"""
    same_line: float = 0.05
    """but for this much;"""
    max_text_ratio: float = 2.4
    """whose letters are no more than this many times as high as their neighbours: brackets beside an a are,"""
    min_text_overlap: float = 0.2
    """and share at least this part of the lower one's height: a comma does."""
    min_set_off: float = 0.9
    """A word with spaces at least this wide about it is a number beside its label,"""
    max_unread_number: float = 0.34
    """if no more than this share of it is no digit, and it does not look printed, or"""
    min_far_off: float = 1.8
    """those spaces are this many times as wide as the page's usual one between words."""
    max_own_gap: float = 0.4
    """A digit of a text no further from one outside than this share of how far its letters are is part of a number."""
    min_plain: int = 2
    """So many sure digits in a row, one of them such as no letter looks like, are a number even in a text,"""
    min_sure: float = 0.6
    """if they are this share of what stands in that row;"""
    min_certain: int = 3
    """and so many even where they look printed, if all of the row are sure."""
    min_letters: int = 3
    """A text has so many letters at least,"""
    max_letter_width: float = 1.2
    """no wider than this many times their height: two digits that touch are,"""
    of_numbers: float = 0.55
    """A page with so many sure digits that no letter looks like for each piece not read has no text: a form has 0.3 to
    0.5, print 0.1 at most;"""
    least_of_numbers: int = 20
    """if there are so many."""
    max_small_print: float = 0.7
    """Pieces lower than this share of the page's sure digits that hold ink not read are a form's own words,"""
    sure_digit: float = 0.95
    """sure being what is read with at least this confidence,"""
    sure_small: float = 0.995
    """unless one of them is read with at least this."""
    max_text_digits: float = 0.67
    """and less than this share of it looks like digits,"""
    max_line_digits: float = 0.9
    """or than this, where over or under it stands a text, no further than this many times the height of its letters,"""
    max_leading: float = 2.0
    """and as high, but for this ratio."""
    max_line_ratio: float = 1.3
    strike_level: float = 0.25
    """A line through a number this near to its middle, in heights of the number, crosses it out"""
    min_strike: float = 0.7
    """where it covers this share of the number's width"""
    max_strike: float = 3.0
    """and is no more than this longer: ruled paper's lines are."""
    min_crowd: int = 6
    """Grain is so many digits at least,"""
    crowd_reach: float = 4.0
    """no further than this from each other,"""
    min_ones: float = 0.6
    """of which this share are 1s: of a table's wood nine in ten, of written digits hardly a third,"""
    min_height_spread: float = 0.45
    """and whose heights have this standard deviation, in octaves: a hand's 0.3."""
    min_letter: float = 2.5
    """Low ink at least this many strokes wide and high is a letter: no point or dash is."""
    mark_reach: float = 0.4
    """A mark is no further than this from the digits it stands between, a sign from the digit it belongs to."""
    mark_overlap: float = 0.35
    """... and reaches no further than this under a digit: the point after a slanted 7."""
    mark_level: float = 0.25
    """The middle of a mark is this near to where it stands: a point on the line, a dash half-way up."""
    min_point: float = 0.75
    """A point is at least this many strokes wide and high,"""
    min_dirt: int = 20
    """and where so many pieces of no more strokes than `max_point` lie apart from all digits, larger than most:"""
    dirt_share: float = 0.9
    """than this share of them."""
    max_point: float = 2.4
    """A point is no longer than this many strokes, or"""
    max_point_height: float = 0.25
    """than this share of a digit's height."""
    min_comma: float = 1.9
    """A comma is at least this many strokes high,"""
    comma_drop: float = 0.12
    """and reaches this far below the line."""
    colon_height: float = 0.2
    """The upper dot of a colon is at least this far above the lower one,"""
    max_colon_dot: float = 0.35
    """and, of a hasty pen, up to this long."""
    min_flatness: float = 1.5
    """A dash is at least this many times as wide as it is high,"""
    max_dash: float = 0.34
    """and no higher than this share of a digit's height."""
    min_dash: float = 0.2
    """Before a number, and between two digits as in a date, it is no shorter than this: a speck is,"""
    beside_dash: float = 0.15
    """and so much further apart are the two than it is long."""
    max_low_digit: float = 0.55
    """What was read as a digit, but is thin, no higher than this share of its neighbour, and below the line or at
    the top, is a comma or an apostrophe."""
    max_hanging: float = 0.8
    """... or no higher than this share of the digits on both sides, half as wide at the most,"""
    hanging_from: float = 0.4
    """and begins this far down them: no 1 does."""
    may_slash: float = 1.05
    """What was read as a 1 may be a slash where it is this many times as high as the digits beside: one 1 in ten is."""
    min_slash: float = 1.2
    """A lone slash is at least this many times as high as the highest digit of its date: no 1 is,"""
    min_slash_lean: float = 0.3
    """and at least this share of its own height wide."""
    doubtful_mark: float = 0.5
    """The chance that a number is right which holds what may be a mark, or dirt."""
    frame_zone: float = 0.4
    """An upright no further than this from the left or right edge of the page,"""
    frame_slenderness: float = 5.0
    """and so many times as high as wide, is the line of a cell: a 1 that leans or has a flag is wider;"""
    frame_level: float = 0.15
    """unless it begins and ends where the others do, but for this share of a digit."""
    may_be_frame: float = 3.3
    """A 1 there at least this many times as high as wide is one where it begins or ends"""
    frame_off: float = 0.35
    """this far from where the others do, and may be one still elsewhere:"""
    frame_doubt: float = 0.5
    """the chance that it is none."""
    beside_unread: float = 0.25
    """The chance that a number is whole where ink beside it was not read: two digits run together, a blot, a sign."""


@dataclass(frozen=True, slots=True)
class StringSettings:
    """Which ink is read as one string; lengths in digit heights."""

    max_gap: float = 1.3
    """Pieces further apart are two strings: wide enough for a thousands point and the space around it."""
    min_overlap: float = 0.3
    """Pieces of one string share at least this part of the lower one's height."""
    min_piece: float = 0.3
    """A piece shorter than this both ways is a point or a speck."""
    max_height: float = 4.5
    """A piece higher than this is a drawing or a ruling."""
    min_height: float = 0.55
    """A string lower than this is a dash or a row of dots."""
    max_lone: float = 3.5
    """A picture no higher than this many of its string's heights holds one line: all of it is read as strings too,"""
    lone_zone: float = 0.6
    """but for what is no further than this from its left or right edge"""
    lone_side: float = 0.5
    """and no wider than this share of its own height: the side of a cell;"""
    lone_trust: float = 0.8
    """and digits read alone are believed by this much less, for want of others to hold them against."""
    beside_unread: float = 0.25
    """The chance that digits read alone are all there are, where ink among them was not read."""
    left_out: float = 0.85
    """... and where a string has all of them and more."""
    max_mark: float = 0.4
    """Low ink in a string longer than this share of its height is a piece of a digit, and no point or dash."""
    max_rows: float = 1.5
    """A string higher than its pieces usually are, by this factor, holds something that is no digit."""
    reread_below: float = 0.95
    """Digits less sure together than this are read again as a string,"""
    crowded: float = 0.08
    """and where more than this share of a page's numbers hold ink that was not read or lies loose, for strokes touch or
    break there,"""
    doubtful: float = 0.2
    """or more than this are in doubt at all,"""
    least_crowded: int = 5
    """but no fewer than so many,"""
    confirm_below: float = 0.9995
    """all that are less sure than this;"""
    min_loose: float = 0.12
    """and so are those with a piece of low ink at least this long beside them that may be a stroke of theirs:"""
    loose_reach: float = 0.35
    """no further off than this,"""
    loose_level: float = 0.3
    """its middle this far above their line, where no point or comma is, and no further above them."""
    at_ruling: float = 0.1
    """So are a 7 whose foot is this near to a ruling and a 1 whose top is: it may have been the foot of a 2, the bar
    of a 7."""
    beside_loose: float = 0.5
    """The chance that such digits are right, where the reader of strings has others."""
    hesitant: float = 0.9
    """Where the reader of strings is less sure of a text than this, its rivals' digits are looked at one by one too,"""
    worth_alone: float = 0.5
    """and what is seen in them counts this much of what that reader says."""
    max_letters: float = 0.25
    """Where more than this share of a chain, and more than one, are unread pieces higher than wide, it is a word,"""
    max_unread: float = 0.5
    """and where one is, and more than this share, and more than two, were not read."""
    min_probability: float = 0.2
    """A string is believed against the digits read alone from this probability on;"""
    min_beside_letter: float = 0.5
    """from this where one piece may be a letter,"""
    min_no_digit: float = 0.8
    """and from this where moreover no digit was read alone."""


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """What speaks against a number; lengths in heights of its digits. How much it does, the model knows."""

    past_belief: float = 0.02
    """A page on which so many numbers are less sure than this is print, and these are none:"""
    least_print: int = 6
    """at least this many,"""
    print_share: float = 0.5
    """and at least this share."""
    least_text: int = 50
    """A page with so many letters and words of texts, and so many for each number that is sure, is one of text:"""
    least_in_text: float = 0.3
    """there what is less sure than this is a word,"""
    max_word: float = 2.0
    """if it is no more than this many times as high as the letters."""
    least_small: float = 0.7
    """What is less sure than this is a form's small print,"""
    max_small: float = 0.6
    """if it is lower than this share of the numbers that are sure, and no digit of it may have lost a stroke"""
    min_bar: float = 0.6
    """as long as this, as the bar of a 5 is,"""
    least_written: int = 5
    """and those are so many."""
    near: float = 1.0
    """Two numbers on a line nearer than this may be one: those of two hands are further apart."""
    near_ruled: float = 0.9
    """... and with an upright ruling between, nearer than this: the cells of a comb are, those of a table are not."""
    tight: float = 0.1
    """Digits nearer than this may be parted wrongly."""
    apart: float = 0.5
    """... and further apart than this, they may be two numbers."""
    unread_reach: float = 0.9
    """Ink that is no digit, this near on its line, may be a part of a number, if only in the next cell of a comb."""
    min_crumb: float = 0.08
    """Pieces of low ink at least this long"""
    crumb_gap: float = 0.25
    """that lie this near each other fell off one digit,"""
    whole_height: tuple[float, float] = (0.5, 1.3)
    """if together they are so high"""
    whole_width: float = 1.0
    """and no wider than this."""
    usual_marks: float = 0.3
    """Where this share of a page's numbers have a mark, those without may have lost theirs: half of them, say;"""
    small_octaves: float = 0.2
    """Digits lower than the page's usual by more than this (0.87 of it) may be print."""
    doubt: float = 0.95
    """A digit less sure than this, 0..1, is in doubt."""


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """Which numbers a person should look at."""

    min_confidence: float = 0.9
    """A number read with less goes to review; 0..1."""
    max_error: float = 0.0
    """Share of wrong numbers among those accepted unseen that is allowed, such as 0.001. Above 0 it takes the place
    of `min_confidence`: the model knows, from pages measured when it was made, how sure that means to be."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_error < 1:
            raise SettingsError(
                f"max_error is {self.max_error}; expected a share such as 0.001, one wrong in a thousand"
            )
        if not 0 <= self.min_confidence <= 1:
            raise SettingsError(f"min_confidence is {self.min_confidence}; expected 0 to 1, such as 0.9")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them; the digest goes into every page's key, so changing one reads pages again."""

    binarise: BinariseSettings = field(default_factory=BinariseSettings)
    backdrop: BackdropSettings = field(default_factory=BackdropSettings)
    straighten: StraightenSettings = field(default_factory=StraightenSettings)
    rulings: RulingSettings = field(default_factory=RulingSettings)
    components: ComponentSettings = field(default_factory=ComponentSettings)
    glyphs: GlyphSettings = field(default_factory=GlyphSettings)
    layout: LayoutSettings = field(default_factory=LayoutSettings)
    strings: StringSettings = field(default_factory=StringSettings)
    trust: TrustSettings = field(default_factory=TrustSettings)
    review: ReviewSettings = field(default_factory=ReviewSettings)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Settings from nested tables, such as a TOML file holds: `{"binarise": {"method": "otsu"}}`.

        Raises SettingsError for an unknown key, naming the nearest real one, and for a value of the wrong type.
        """
        groups = typing.get_type_hints(cls)
        values = {}
        for name, table in mapping.items():
            if name not in groups:
                raise SettingsError(unknown_key(name, groups))
            if not isinstance(table, Mapping):
                raise SettingsError(f"{name}: expected a table of settings, found {table!r}")
            values[name] = _group(groups[name], name, table)
        return cls(**values)

    def without_turns(self) -> Self:
        """The same for a page that stands upright already."""
        return replace(self, straighten=replace(self.straighten, quarter_turns=False))

    def without_backdrop(self, darkness: float) -> Self:
        """The same for a page on which what is darker than its paper by less, gray levels, is no writing."""
        return replace(self, binarise=replace(self.binarise, min_darkness=darkness))

    def digest(self) -> str:
        """12 hex digits that change when any setting does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def unknown_key(name: str, known: Iterable[str]) -> str:
    """The message for a key nobody knows: it names the nearest real one."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"unknown setting {name!r}; did you mean {nearest[0]!r}?" if nearest else f"unknown setting {name!r}"


def _group(group: type[Any], name: str, table: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(group)
    for key, value in table.items():
        if key not in hints:
            raise SettingsError(f"[{name}] {unknown_key(key, hints)}")
        if not _fits(value, hints[key]):
            raise SettingsError(f"[{name}] {key} is {value!r}; expected {_words(hints[key])}")
    return group(**table)


def _fits(value: object, hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    return {float: "a number", int: "a whole number", bool: "true or false", str: "text in quotes"}[hint]
