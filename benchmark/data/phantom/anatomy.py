"""A person of the phantom: the numbers that decide what their chest looks like on a frontal film.

An `Anatomy` holds plain numbers in *chest coordinates*: x is 0 on the midline and grows towards the
right of the picture (the patient's left), y grows downwards; with size 1 and no shift the picture spans x in
[-0.5, 0.5] and y in [0, 1]. A finding that changes a shape is a changed person, for example
`dataclasses.replace(person, cardiothoracic_ratio=0.64)`. Ranges follow adult films: cardiothoracic
ratio 0.38 to 0.60, right diaphragm higher than the left, apex of the heart towards the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ... import exact
from ...draws import Draw


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One person; lengths are fractions of the picture's side unless named `_cm`, angles are in radians."""

    # How the person stands in the picture.
    size: float
    aspect: float  # width over height, 1 = as drawn
    tilt: float
    shift_x: float
    shift_y: float
    turn: float  # rotation about the long axis, as the shift of the mediastinum against the spine

    # Rib cage, lungs and diaphragm.
    half_width: float  # half of the inner width of the thorax at its widest
    apex_y: float
    apex_x: float
    apex_lift_left: float
    angle_y: float  # costophrenic angles
    angle_drop_left: float
    dome_right: float  # height of the right dome above its costophrenic angle
    dome_gap: float  # how much lower the left dome is
    dome_peak: float  # where the dome is highest: 0 at the wall, 1 at the midline
    cage_roundness: float  # exponent of the outer border; larger = squarer shoulders
    side_difference: float  # left half of the thorax wider (+) or narrower (-)

    # Heart and mediastinum.
    cardiothoracic_ratio: float
    heart_right_share: float  # part of the heart's width right of the midline
    heart_top: float  # as a fraction of the lung height
    heart_waist: float  # concavity of the left border; 0 = straight
    apex_rise: float
    mediastinum_width: float  # half width above the heart
    aortic_knob: float
    pulmonary_bulge: float
    mediastinum_cm: float

    # Bones.
    clavicle_y: float
    clavicle_rise_right: float
    clavicle_rise_left: float
    clavicle_bend: float
    clavicle_thickness: float
    clavicle_cm: float
    rib_pitch: float
    rib_slope: float
    rib_thickness: float
    rib_cm: float
    spine_width: float
    spine_cm: float
    scoliosis: float
    scapula_overlap: float
    shoulder_slope: float
    arm_gap: float

    # Soft tissue and gas.
    body_margin: float  # chest wall outside the ribs
    depth_cm: float  # front to back, at the diaphragm
    lung_density: float  # 0 = air, 1 = water
    breast_cm: float
    breast_y: float
    stomach_gas_cm: float
    marking: float  # strength of the vessels
    mottle: float

    body_taper: float = 0.0  # of the trunk's depth towards the flanks: 0 = hardly, 1 = an ellipse

    texture_seed: int  # vessels and mottle: the person's own, the same at every resolution


def _normal(rng: Draw, mean: float, spread: float, low: float, high: float) -> float:
    return min(max(mean + spread * rng.normal(), low), high)


class _Build(NamedTuple):
    """What most of a person's measures depend on."""

    woman: bool
    old: float  # 0 at 18 years, 1 at 88
    weight: float  # lean (-) to heavy (+)
    breath: float  # depth of inspiration
    apex_y: float
    lung_height: float
    half_width: float
    aspect: float


def _draw_build(rng: Draw, woman: bool | None, age: float | None) -> _Build:
    drawn_woman, drawn_age = rng.random() < 0.5, rng.uniform(18.0, 88.0)
    old = ((drawn_age if age is None else min(max(age, 18.0), 88.0)) - 18.0) / 70.0
    woman = drawn_woman if woman is None else woman
    weight, breath = rng.normal(), rng.normal()
    apex_y = _normal(rng, 0.115, 0.022, 0.07, 0.17)
    lung_height = _normal(rng, 0.705 + 0.045 * breath - 0.02 * woman - 0.012 * weight, 0.025, 0.56, 0.82)
    half_width = _normal(rng, 0.365 - 0.010 * woman + 0.006 * weight, 0.016, 0.32, 0.405)
    aspect = _normal(rng, 1.0, 0.025, 0.94, 1.06)
    return _Build(woman, old, weight, breath, apex_y, lung_height, half_width, aspect)


def draw_anatomy(rng: Draw, *, woman: bool | None = None, age: float | None = None) -> Anatomy:
    """Draw one adult. Every number comes from `rng`, so that one generator state gives one person.

    A sex or an age (years, 18 to 88) that is passed takes the place of the drawn one.
    """
    woman, old, weight, breath, apex_y, lung_height, half_width, aspect = _draw_build(rng, woman, age)
    # The radiographer fits the lungs into the film.
    largest = min(1.12, 0.84 / lung_height, 0.41 / (half_width * aspect))
    size = _normal(rng, 1.02 - 0.015 * woman, 0.04, 0.90, largest)
    tilt = _normal(rng, 0.0, 0.022, -0.06, 0.06)
    room = max(0.0, 0.465 - half_width * size * aspect - 0.45 * abs(tilt))
    rise = _normal(rng, 0.050, 0.022, 0.0, 0.11)
    return Anatomy(
        size=size,
        aspect=aspect,
        tilt=tilt,
        shift_x=_normal(rng, 0.0, 0.014, -room, room),
        shift_y=size * (0.5 - apex_y - 0.5 * lung_height) + _normal(rng, -0.020, 0.012, -0.040, 0.010),
        turn=_normal(rng, 0.0, 0.008, -0.020, 0.020),
        half_width=half_width,
        apex_y=apex_y,
        apex_x=_normal(rng, 0.135, 0.012, 0.11, 0.16),
        apex_lift_left=_normal(rng, 0.0, 0.008, -0.02, 0.02),
        angle_y=apex_y + lung_height,
        angle_drop_left=_normal(rng, 0.006, 0.010, -0.015, 0.03),
        dome_right=_normal(rng, 0.115 - 0.012 * breath + 0.008 * weight - 0.02 * old, 0.018, 0.055, 0.165),
        dome_gap=_normal(rng, 0.026, 0.012, 0.006, 0.06),
        dome_peak=_normal(rng, 0.60, 0.05, 0.45, 0.70),
        cage_roundness=_normal(rng, 1.75 + 0.2 * old, 0.2, 1.35, 2.5),
        side_difference=_normal(rng, 0.0, 0.008, -0.018, 0.018),
        cardiothoracic_ratio=_normal(rng, 0.455 + 0.05 * old - 0.012 * breath + 0.010 * weight, 0.038, 0.38, 0.60),
        heart_right_share=_normal(rng, 0.31, 0.035, 0.23, 0.39),
        heart_top=_normal(rng, 0.45, 0.025, 0.39, 0.51),
        heart_waist=_normal(rng, 0.3, 0.5, -0.7, 1.2),
        apex_rise=_normal(rng, 0.10, 0.04, 0.02, 0.2),
        mediastinum_width=_normal(rng, 0.060 + 0.004 * weight + 0.004 * old, 0.006, 0.046, 0.082),
        aortic_knob=_normal(rng, 0.014 + 0.020 * old, 0.007, 0.003, 0.048),
        pulmonary_bulge=_normal(rng, 0.012, 0.008, 0.0, 0.03),
        mediastinum_cm=_normal(rng, 9.5 + 0.6 * weight, 1.6, 5.5, 14.0),
        clavicle_y=_normal(rng, 0.105, 0.018, 0.06, 0.15),
        clavicle_rise_right=rise + _normal(rng, 0.0, 0.010, -0.025, 0.025),
        clavicle_rise_left=rise + _normal(rng, 0.0, 0.010, -0.025, 0.025),
        clavicle_bend=_normal(rng, 0.016, 0.007, 0.0, 0.034),
        clavicle_thickness=_normal(rng, 0.0190 - 0.002 * woman, 0.0018, 0.0145, 0.0235),
        clavicle_cm=_normal(rng, 1.6 - 0.15 * woman - 0.4 * old, 0.25, 0.7, 2.2),
        rib_pitch=_normal(rng, 0.101, 0.004, 0.090, 0.112),
        rib_slope=_normal(rng, 0.045, 0.018, 0.0, 0.09),
        rib_thickness=_normal(rng, 0.0115, 0.0012, 0.008, 0.015),
        rib_cm=_normal(rng, 0.78 - 0.14 * woman - 0.28 * old, 0.15, 0.25, 1.2),
        spine_width=_normal(rng, 0.043, 0.003, 0.035, 0.052),
        spine_cm=_normal(rng, 0.85 - 0.25 * old, 0.2, 0.35, 1.5),
        scoliosis=_normal(rng, 0.0, 0.006, -0.018, 0.018),
        scapula_overlap=_normal(rng, 0.0, 0.022, -0.04, 0.045),
        shoulder_slope=_normal(rng, 0.15, 0.03, 0.08, 0.23),
        arm_gap=_normal(rng, 0.06 - 0.02 * weight, 0.035, -0.03, 0.14),
        body_margin=_normal(rng, 0.078 + 0.020 * weight, 0.010, 0.040, 0.15),
        depth_cm=_normal(rng, 22.0 + 2.0 * weight - 1.0 * woman + 1.0 * old, 0.8, 16.5, 29.0),
        lung_density=_normal(rng, 0.25 - 0.025 * breath - 0.03 * old, 0.03, 0.14, 0.38),
        breast_cm=_normal(rng, 1.4 + 0.7 * weight, 0.5, 0.3, 3.5) if woman else 0.0,
        breast_y=_normal(rng, 0.62 + 0.06 * old, 0.04, 0.52, 0.76),
        stomach_gas_cm=max(0.0, _normal(rng, 2.0, 3.0, -4.0, 8.0)),
        marking=_normal(rng, 1.0 + 0.2 * old, 0.2, 0.5, 1.7),
        mottle=exact.exp(_normal(rng, 0.0, 0.35, -0.8, 0.8)),
        texture_seed=rng.integer(0, 2**63),
    )
