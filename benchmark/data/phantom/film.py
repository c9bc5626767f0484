"""From a person to a developed chest film and its organ masks, at any resolution.

Depths along the ray (cm of soft tissue, bone and gas) are summed per structure, the beam is attenuated by
Beer-Lambert's law, scattered light and noise are added, and a sigmoid characteristic curve turns exposure
into grey (lungs dark, bone bright, as in NIH's PNGs). Masks follow the conventions of SCR (van Ginneken et
al., Medical Image Analysis 2006): lung fields without heart and mediastinum, clavicles only over the rib
cage. "Left" is the patient's left, the right side of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from . import outlines
from .anatomy import Anatomy
from .bending import Bend
from .depths import Depths, Layer, Plane
from .developing import Exposure, box_mean, develop, draw_exposure
from .outlines import LEFT, RIGHT, Side
from .pose import Pose, pixel_centres
from .raster import Drawing, Points, Thing, ribbons
from .vessels import hilum, vessel_tree

ORGANS = ("left_lung", "right_lung", "heart", "left_clavicle", "right_clavicle")

# Layers of the drawing.
_LEFT_LUNG, _RIGHT_LUNG, _HEART, _LEFT_CLAVICLE, _RIGHT_CLAVICLE, _MEDIASTINUM, _CAGE = range(7)
_SHOULDER, _RECESS, _BONE, _GAS, _VESSELS = range(7, 12)
_LAYERS = 12
_READ = [_LEFT_LUNG, _RIGHT_LUNG, _HEART, _MEDIASTINUM]

_ROW_STEP = 1.0 / 512  # of the tables over y


@dataclass(frozen=True, eq=False)
class _Shapes:
    """Outlines that more than one step of the projection needs."""

    right: Side
    left: Side
    heart: Points

    @classmethod
    def of(cls, person: Anatomy) -> _Shapes:
        right, left = outlines.side(person, RIGHT), outlines.side(person, LEFT)
        return cls(right, left, outlines.heart(person, right, left))


@dataclass(frozen=True, kw_only=True, eq=False)
class Extras:
    """What a film may have beyond a person, their findings and an exposure: by itself none of it."""

    build: Bend | None = None
    """Bends the whole person: differences of shape that no measure has."""
    reader: Bend | None = None
    """How the outlines of lungs and heart of whoever drew the masks stray from the person's; clavicles are plain to see."""
    objects: Sequence[Thing] = ()
    """What else is in the beam, in chest coordinates."""
    field: Points | None = None
    """Corners of what the collimator leaves, in the picture; the rest is black and has no masks."""


NOTHING = Extras()


def _draw(person: Anatomy, pose: Pose, shapes: _Shapes, resolution: int, objects: Sequence[Thing]) -> Plane:
    """Coverage (or depth in cm) of every layer, float64 (layers, H, W)."""
    drawing = Drawing()
    drawing.add(_HEART, shapes.heart)
    drawing.add(_MEDIASTINUM, outlines.mediastinum(person))
    drawing.add(_CAGE, outlines.rib_cage(shapes.right, shapes.left, 0.016))
    for half, lung_layer, clavicle_layer in (
        (shapes.left, _LEFT_LUNG, _LEFT_CLAVICLE),
        (shapes.right, _RIGHT_LUNG, _RIGHT_CLAVICLE),
    ):
        lung = outlines.lung(half)
        drawing.add(lung_layer, lung)
        # Behind the dome the lung reaches deeper: the posterior recess.
        drawing.add(_RECESS, lung * (0.97, 1.0) + (0.0, 0.030), 0.5)
        drawing.add(_RECESS, lung * (0.94, 1.0) + (0.0, 0.060), 0.5)
        drawing.add(_SHOULDER, outlines.shoulder(person, half.sign))
        clavicle, marrow = outlines.clavicle(person, half.sign)
        drawing.add(clavicle_layer, clavicle)
        drawing.add(_BONE, clavicle, person.clavicle_cm)
        drawing.add(_BONE, marrow, -0.35 * person.clavicle_cm)
    _draw_bones(drawing, person, shapes)
    drawing.add_all(_GAS, outlines.trachea(person), np.array([1.7, 0.8, 0.7]))
    if person.stomach_gas_cm > 0.0:
        drawing.add(_GAS, outlines.stomach_bubble(shapes.left), person.stomach_gas_cm)
    for branches, depth in vessel_tree(person):
        drawing.add_all(_VESSELS, branches, depth)
    for rings, bone_cm in objects:
        drawing.add_all(_BONE, rings, np.full(len(rings), bone_cm))
    return drawing.coverage(_LAYERS, resolution, _rows(resolution), pose.place)


def _rows(resolution: int) -> int:
    """Sampled rows of a pixel."""
    return max(2, math.ceil(256 / resolution))


def _read(person: Anatomy, pose: Pose, shapes: _Shapes, resolution: int) -> Plane:
    """The layers of heart, mediastinum and lungs as a reader draws them, (layers, H, W); the others are empty."""
    drawing = Drawing()
    drawing.add(_HEART, shapes.heart)
    drawing.add(_MEDIASTINUM, outlines.mediastinum(person))
    drawing.add(_LEFT_LUNG, outlines.lung(shapes.left))
    drawing.add(_RIGHT_LUNG, outlines.lung(shapes.right))
    return drawing.coverage(max(_READ) + 1, resolution, _rows(resolution), pose.place)


def _draw_bones(drawing: Drawing, person: Anatomy, shapes: _Shapes) -> None:
    """Ribs, shoulder blades and arms; ribs are compact outside and less dense inside."""
    lines = np.concatenate([part for half in (shapes.right, shapes.left) for part in outlines.rib_lines(person, half)])
    back = np.tile(np.repeat([True, False], [outlines.BACK_RIBS, outlines.FRONT_RIBS]), 2)
    width = person.rib_thickness * np.where(back, 1.0, 1.2)[:, None]
    bone_cm = person.rib_cm * np.where(back, 1.0, 0.45)
    for ring, share in zip(ribbons(lines, width, 0.55 * width), (1.0, -0.40), strict=True):
        drawing.add_all(_BONE, ring, share * bone_cm)
    for sign in (RIGHT, LEFT):
        drawing.add(_BONE, outlines.scapula(person, sign), 0.45 * person.clavicle_cm)
        head, shaft = outlines.humerus(person, sign)
        drawing.add(_BONE, head, 0.8)
        drawing.add(_BONE, shaft, 0.9)


_TABLE_Y = -0.5 + _ROW_STEP * np.arange(2.1 / _ROW_STEP)


class _OverY:
    """Functions of y by their values at `_TABLE_Y`."""

    def __init__(self, y: Plane) -> None:
        place = ((y + 0.5) * (1.0 / _ROW_STEP)).astype(np.int64)
        self._place = np.clip(place, 0, len(_TABLE_Y) - 1)

    def __call__(self, table: NDArray[np.float64]) -> Plane:
        return table.take(self._place)


# The width and depth of the body, the depth of the chest and the sway of the spine; the widest part follows the person.
_NARROW_Y = (-0.1, 0.02, 0.16, 0.34, 0.68, 1.1)
_NARROW = exact.interp(_TABLE_Y, _NARROW_Y, (0.11, 0.125, 0.36, 0.05, 0.0, 0.03))
_WIDE = exact.interp(_TABLE_Y, _NARROW_Y, (0.0, 0.0, 0.0, 1.0, 1.0, 1.0))
_DEEP = exact.interp(_TABLE_Y, (-0.1, 0.05, 0.25, 0.50, 0.85, 1.1), (0.52, 0.57, 0.80, 0.93, 1.00, 1.03))
_INSIDE = exact.interp(_TABLE_Y, (0.05, 0.30, 0.65, 1.0), (0.45, 0.85, 1.0, 1.0))
_SWAY = exact.sin(4.5 * _TABLE_Y)


def _dome_profile(ratio: Plane) -> Plane:
    """Depth of an ellipse at `ratio` of its half width, as a share of its largest depth."""
    return np.sqrt(np.maximum(1.0 - ratio * ratio, 0.0))


def _body_cm(person: Anatomy, x: Plane, y: Plane, over_y: _OverY, shoulder: Plane) -> Plane:
    """Front-to-back thickness of trunk, neck, shoulders, arms and breasts."""
    edge = person.half_width + person.body_margin
    profile = np.sqrt(_dome_profile(x / over_y(_NARROW + edge * _WIDE)))
    body = over_y(person.depth_cm * _DEEP) * profile
    if person.body_taper:
        body *= 1.0 - person.body_taper * (1.0 - profile)
    soft = box_mean(shoulder, 0.07)
    np.maximum(body, soft * np.minimum(shoulder, 1.0) * (0.50 * person.depth_cm), out=body)
    if person.breast_cm > 0.0:
        across = (np.abs(x) - 0.205) / 0.165
        down = (y - person.breast_y) / 0.155
        # Fuller below than above: the upper slope is long, the lower border short.
        down = np.maximum(down, down * 0.62)
        square = across * across + down * down
        body += person.breast_cm * np.maximum(1.0 - square * square, 0.0)
    return body


_SPINE_REACH = 0.075  # beyond it on both sides of the midline there is no spine: process, sway and body are inside
_USUAL_SWAY = 0.018


def _add_spine(bone: Plane, person: Anatomy, pose: Pose, x: Plane, y: Plane) -> None:
    """Vertebral bodies with darker discs between them, and the spinous processes."""
    reach = _SPINE_REACH + max(abs(person.scoliosis) - _USUAL_SWAY, 0.0)
    where = pose.window((-reach, -1.0), (reach, 2.0), len(x))
    x, y = x[where], y[where]
    aside = np.abs(x - _OverY(y)(person.scoliosis * _SWAY))
    body = np.minimum(np.maximum((person.spine_width - aside) * 55.0, 0.0), 1.0)
    aside *= 110.0
    process = exact.bell(aside * aside) * 0.3
    discs = 0.80 + 0.20 * exact.cos(y * (2.0 * math.pi / 0.068))
    bone[where] += person.spine_cm * (body * discs + process)


@lru_cache(maxsize=16)
def _between(coarse: int, resolution: int) -> tuple[NDArray[np.intp], Plane]:
    at = np.clip(pixel_centres(resolution) * float(coarse) - 0.5, 0.0, coarse - 1.0001)
    low = at.astype(np.intp)
    return low, at - low


def _smooth_noise(rng: Draw, coarse: int, resolution: int) -> Plane:
    """Unit normal noise on a coarse grid, interpolated: the same field at every resolution."""
    grid = rng.noise(coarse, coarse)
    low, part = _between(coarse, resolution)
    left = grid.take(low, axis=1)
    wide = left + (grid.take(low + 1, axis=1) - left) * part
    above = wide.take(low, axis=0)
    field = wide.take(low + 1, axis=0)
    field -= above
    field *= part[:, None]
    field += above
    return field


def _depths(person: Anatomy, pose: Pose, shapes: _Shapes, drawn: Plane) -> Depths:
    """Sum the structures along the ray."""
    resolution = drawn.shape[1]
    x, y = pose.chest_grid(resolution)
    over_y = _OverY(y)
    body = _body_cm(person, x, y, over_y, drawn[_SHOULDER])
    lungs = drawn[_LEFT_LUNG] + drawn[_RIGHT_LUNG]
    if pose.bends:  # their long straight borders at the midline no longer meet
        np.minimum(lungs, 1.0, out=lungs)
    inside = over_y(0.70 * person.depth_cm * _INSIDE)
    # Depth of the lungs were there no heart and no mediastinum.
    lung = _dome_profile(x / over_y(shapes.right.wall_x(_TABLE_Y) * 1.035))
    lung *= inside
    lung *= 0.84 * lungs + 0.16 * box_mean(np.minimum(drawn[_RECESS], 1.0), 0.03)
    # Towards the diaphragm the space behind the heart closes: no step where the domes meet.
    closing = np.minimum(np.maximum((y - (person.angle_y - 0.48)) * 2.6, 0.0), 1.0)
    closing *= closing
    closing *= inside
    closing += person.mediastinum_cm
    middle = np.minimum(closing, inside)
    middle *= box_mean(drawn[_MEDIASTINUM], 0.014)
    _widen_by_heart(middle, shapes.heart, pose, x, y, drawn[_HEART] * (0.74 * inside))
    lung -= middle
    np.maximum(lung, 0.0, out=lung)
    air = lung * (1.0 - _density(person, y))
    tissue = body - air
    tissue -= np.minimum(drawn[_GAS], body)
    lung_field = np.minimum(lungs, 1.0)
    markings = drawn[_VESSELS] + 0.0
    for sign in (RIGHT, LEFT):
        hilum_x, hilum_y = hilum(person, sign)
        where = pose.window((hilum_x - 0.18, hilum_y - 0.35), (hilum_x + 0.18, hilum_y + 0.35), resolution)
        across, down = (x[where] - hilum_x) * 27.0, (y[where] - hilum_y) * 14.0
        markings[where] += 2.4 * exact.bell(across * across + down * down)
    markings *= person.marking * lung_field
    tissue += markings
    _add_spine(drawn[_BONE], person, pose, x, y)
    return Depths(x, y, tissue, drawn[_BONE], lung, air, markings, lung_field, drawn[_HEART])


def _density(person: Anatomy, y: Plane) -> Plane:
    """Density of the lung, 0 = air, 1 = water: mottled, and as blood pools at the base a little denser below."""
    texture = Draw(person.texture_seed, 1)
    cloud = 0.055 * _smooth_noise(texture, 20, len(y))
    cloud += 0.060 * _smooth_noise(texture, 64, len(y))
    cloud *= person.mottle
    cloud += 1.0
    cloud *= person.lung_density
    cloud *= 0.85 + 0.30 * y
    return cloud


def _widen_by_heart(middle: Plane, outline: Points, pose: Pose, x: Plane, y: Plane, depth: Plane) -> None:
    """The larger of the depths of mediastinum and heart, in place: an ellipsoid of `depth` that rests on the diaphragm."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    where = pose.window((low[0], low[1]), (high[0], high[1]), len(x))
    centre, radius = (low + high) / 2.0, (high - low) / 2.0
    across = (x[where] - centre[0]) / (radius[0] * 1.12)
    down = (y[where] - centre[1]) / (radius[1] * 1.12)
    round_part = np.sqrt(np.maximum(1.0 - across * across - down * down, 0.0))
    share = 0.42 + 0.58 * round_part + 0.40 * np.maximum(down, 0.0)
    middle[where] = np.maximum(middle[where], depth[where] * share)


def _masks(drawn: Plane) -> NDArray[np.uint8]:
    """Bit i is organ i of ORGANS: a pixel belongs to an organ that covers at least half of it."""
    lung_free = 1.0 - np.minimum(np.maximum(drawn[_HEART], drawn[_MEDIASTINUM]), 1.0)
    organs = (
        (_LEFT_LUNG, lung_free),
        (_RIGHT_LUNG, lung_free),
        (_HEART, None),
        (_LEFT_CLAVICLE, drawn[_CAGE]),
        (_RIGHT_CLAVICLE, drawn[_CAGE]),
    )
    masks = np.zeros(drawn.shape[1:], np.uint8)
    for bit, (layer, seen) in enumerate(organs):
        there = np.flatnonzero(drawn[layer].any(axis=1))
        rows = slice(there[0], there[-1] + 1) if len(there) else slice(0)
        share = drawn[layer, rows] if seen is None else drawn[layer, rows] * seen[rows]
        # Half covered, as a level edge between two sampled rows leaves it: an upper edge counts, a lower one does not, so
        # that rounding does not decide and a bar stays as thick as it is.
        least = np.full_like(share, 0.5 + _ROUNDING)
        least[:-1] -= (2.0 * _ROUNDING) * (share[1:] > 0.5)
        masks[rows] |= (share > least).view(np.uint8) << np.uint8(bit)
    return masks


_ROUNDING = 1e-9


@cache
def _settle_allocator() -> None:
    """Free one large block, once in a process, so that glibc keeps the arrays freed after every film.

    Otherwise it returns them to the system each time, and the page faults cost a third of the time at 128
    pixels. The block is never touched; other allocators are not affected.
    """
    np.empty(1 << 24, np.uint8)


def render(
    person: Anatomy,
    resolution: int,
    rng: Draw,
    layers: Sequence[Layer] = (),
    exposure: Exposure | None = None,
    extras: Extras = NOTHING,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Take a film of a person: image uint8 (H, W) and masks uint8 (H, W), bit i for organ i of ORGANS.

    `rng` gives the noise, and the exposure where none is passed. `layers` change the depths in
    order before the beam passes; a finding that changes an outline (a wide heart, a high dome) is a changed
    person instead. `extras`: see there.
    """
    _settle_allocator()
    if exposure is None:
        exposure = draw_exposure(rng)
    bends = () if extras.build is None else (extras.build,)
    pose = Pose.of(person, *bends)
    shapes = _Shapes.of(person)
    drawn = _draw(person, pose, shapes, resolution, extras.objects)
    depths = _depths(person, pose, shapes, drawn)
    for layer in layers:
        layer(depths)
    image = develop(depths, person, exposure, rng)
    if extras.reader is not None:
        drawn[_READ] = _read(person, Pose.of(person, *bends, extras.reader), shapes, resolution)[_READ]
    masks = _masks(drawn)
    return (image, masks) if extras.field is None else _collimated(image, masks, extras.field)


def _collimated(
    image: NDArray[np.uint8], masks: NDArray[np.uint8], field: Points
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and masks black outside a polygon of the picture."""
    drawing = Drawing()
    drawing.add(0, field)
    seen = drawing.coverage(1, len(image), 2, lambda x, y: (x, y))[0]
    return np.rint(image * seen).astype(np.uint8), np.where(seen > 0.5, masks, np.uint8(0))
