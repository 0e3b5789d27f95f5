//! Which part of a picture becomes which size.

use super::{Orientation, Task};
use crate::Fit;

/// In the picture as it is stored, so before it is turned; the canvas is as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// Width and height of the part that is kept, around the middle, as a share of the whole.
    pub(super) part: (f64, f64),
    /// What that part becomes.
    pub(super) size: (u32, u32),
    /// Width and height of the answer; larger than the size where there is a border.
    pub(super) canvas: (u32, u32),
    /// The size as it is looked at.
    shown: (u32, u32),
}

impl Plan {
    /// For a picture of `width` by `height` as stored.
    pub(super) fn of(width: u32, height: u32, orientation: Orientation, task: &Task) -> Self {
        let (width, height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
        let whole = (f64::from(width), f64::from(height));
        let side = task.bounds.side;
        let wanted = (task.width.unwrap_or(side).min(side), task.height.unwrap_or(side).min(side));
        let ratios = (f64::from(wanted.0) / whole.0, f64::from(wanted.1) / whole.1);
        let is_box = task.width.is_some() && task.height.is_some();
        let (mut part, mut canvas) = ((1.0, 1.0), None);
        let shown = match task.fit {
            Fit::Cover if is_box => {
                // Never enlarged: a picture that is too small is cut to the box's shape.
                let scale = ratios.0.max(ratios.1);
                let shrink = scale.max(1.0);
                let size = (pixels(f64::from(wanted.0) / shrink), pixels(f64::from(wanted.1) / shrink));
                let scale = scale.min(1.0);
                part = (
                    (f64::from(size.0) / (whole.0 * scale)).min(1.0),
                    (f64::from(size.1) / (whole.1 * scale)).min(1.0),
                );
                size
            }
            fit => {
                if fit == Fit::Contain && is_box {
                    canvas = Some(wanted);
                }
                let scale = ratios.0.min(ratios.1).min(1.0);
                (pixels(whole.0 * scale).min(wanted.0), pixels(whole.1 * scale).min(wanted.1))
            }
        };
        let turn = |(a, b): (u32, u32)| if orientation.swaps_sides() { (b, a) } else { (a, b) };
        let part = if orientation.swaps_sides() { (part.1, part.0) } else { part };
        Self { part, size: turn(shown), canvas: canvas.unwrap_or(shown), shown }
    }

    pub(super) fn has_border(&self) -> bool {
        self.canvas != self.shown
    }

    /// Of how many eighths of its size a JPEG of `width` by `height` may be decoded, so that it is still not enlarged afterwards.
    pub(super) fn eighths(&self, width: u32, height: u32) -> u8 {
        let enough = |eighths: u8| {
            let scaled = |side: u32| f64::from((side * u32::from(eighths)).div_ceil(8));
            scaled(width) * self.part.0 >= f64::from(self.size.0)
                && scaled(height) * self.part.1 >= f64::from(self.size.1)
        };
        (1..8).find(|eighths| enough(*eighths)).unwrap_or(8)
    }
}

/// Whole pixels, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides of pictures are far below")]
fn pixels(side: f64) -> u32 {
    side.round().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Bounds, Target};

    fn task(width: Option<u32>, height: Option<u32>, fit: Fit) -> Task {
        let bounds = Bounds { pixels: u64::MAX, side: 8192 };
        Task { width, height, fit, format: Target::JpegOrPng, quality: 75, bounds }
    }

    #[test]
    fn sizes_are_those_of_the_box() {
        let upright = Orientation::default();
        let plan = |width, height, fit| Plan::of(4000, 3000, upright, &task(width, height, fit));
        assert_eq!(plan(Some(640), None, Fit::Inside).size, (640, 480));
        assert_eq!(plan(None, Some(300), Fit::Inside).size, (400, 300));
        assert_eq!(plan(Some(640), Some(640), Fit::Inside).size, (640, 480));
        assert_eq!(plan(Some(640), Some(640), Fit::Contain).canvas, (640, 640));
        let cover = plan(Some(640), Some(640), Fit::Cover);
        assert_eq!((cover.size, cover.part), ((640, 640), (0.75, 1.0)));
        assert!(!cover.has_border());
        assert_eq!(plan(None, None, Fit::Cover).size, (4000, 3000));
        assert_eq!(plan(Some(8000), None, Fit::Inside).size, (4000, 3000), "enlarged");
        let turned = Plan::of(4000, 3000, Orientation::new(6), &task(Some(640), None, Fit::Inside));
        assert_eq!((turned.size, turned.canvas), ((853, 640), (640, 853)));
        let small = Plan::of(100, 50, upright, &task(Some(640), Some(640), Fit::Cover));
        assert_eq!((small.size, small.part), ((50, 50), (0.5, 1.0)));
        assert_eq!(Plan::of(30000, 10, upright, &task(None, None, Fit::Inside)).size, (8192, 3));
        assert_eq!(Plan::of(30000, 1, upright, &task(Some(10), None, Fit::Inside)).size, (10, 1));
    }

    #[test]
    fn a_jpeg_is_decoded_near_its_size_and_never_below() {
        let plan = Plan::of(4000, 3000, Orientation::default(), &task(Some(640), None, Fit::Inside));
        assert_eq!(plan.eighths(4000, 3000), 2);
        let plan = Plan::of(4000, 3000, Orientation::default(), &task(Some(1600), None, Fit::Inside));
        assert_eq!(plan.eighths(4000, 3000), 4);
        let plan = Plan::of(4000, 3000, Orientation::default(), &task(Some(4000), None, Fit::Inside));
        assert_eq!(plan.eighths(4000, 3000), 8);
    }
}
