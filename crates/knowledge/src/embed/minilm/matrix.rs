//! Products of small matrices at the processor's full rate, in safe code.
//!
//! Both factors are packed so that the innermost loop reads memory in order: the left one into
//! tiles of up to twelve interleaved rows, the right one into panels two registers wide. Weights
//! are packed once at load, which is what a general matrix library cannot do for us.

use pulp::{Arch, Simd, WithSimd};

/// Registers side by side in a panel.
const PANEL_REGISTERS: usize = 2;
/// Rows of a tile: the accumulators, one row of the panel and one broadcast fill the registers.
const TILE_ROWS: usize = 12;
const TILE_ROWS_16_REGISTERS: usize = 6;

/// Whether a product replaces what the output holds or is added to it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Write {
    Replace,
    Add,
}

/// Columns per panel on this processor.
pub(super) fn panel_width(arch: Arch) -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            PANEL_REGISTERS * S::F32_LANES
        }
    }
    arch.dispatch(Width)
}

/// A matrix seen in a larger slice: row `r` starts at `r * stride`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> View<'a> {
    fn row(self, row: usize, width: usize) -> &'a [f32] {
        &self.values[row * self.stride..][..width]
    }
}

/// The right factor: panel after panel, each a row of starting values and then `depth` rows.
#[derive(Debug)]
pub(super) struct Panels {
    panel_width: usize,
    depth: usize,
    values: Vec<f32>,
}

impl Panels {
    /// An empty matrix to pack into.
    pub(super) fn new(panel_width: usize) -> Self {
        Self { panel_width, depth: 0, values: Vec::new() }
    }

    /// The product's columns, rounded up to whole panels.
    pub(super) fn padded_columns(&self) -> usize {
        self.values.len() / (self.depth + 1)
    }

    /// Packs a matrix given by its columns: weights as `[out][in]`, or keys. `start` is what each
    /// column's sum starts from, the bias; empty means zero.
    #[inline(always)]
    pub(super) fn pack_columns(
        &mut self,
        of: View<'_>,
        (depth, columns): (usize, usize),
        start: &[f32],
    ) {
        self.clear(depth, columns);
        let width = self.panel_width;
        for (at, panel) in self.values.chunks_exact_mut((depth + 1) * width).enumerate() {
            let (first, rest) = panel.split_at_mut(width);
            for column in 0..width.min(columns - at * width) {
                first[column] = start.get(at * width + column).copied().unwrap_or(0.0);
                let source = of.row(at * width + column, depth);
                for (to, value) in rest[column..].iter_mut().step_by(width).zip(source) {
                    *to = *value;
                }
            }
        }
    }

    /// Packs a matrix given by its rows; every sum starts from zero.
    #[inline(always)]
    pub(super) fn pack_rows(&mut self, of: View<'_>, (depth, columns): (usize, usize)) {
        self.clear(depth, columns);
        let width = self.panel_width;
        for (at, panel) in self.values.chunks_exact_mut((depth + 1) * width).enumerate() {
            let here = width.min(columns - at * width);
            for (row, to) in panel.chunks_exact_mut(width).skip(1).enumerate() {
                to[..here].copy_from_slice(&of.row(row, columns)[at * width..][..here]);
            }
        }
    }

    fn clear(&mut self, depth: usize, columns: usize) {
        self.depth = depth;
        self.values.clear();
        self.values.resize(columns.next_multiple_of(self.panel_width) * (depth + 1), 0.0);
    }
}

/// The left factor: tiles of rows, interleaved so that a tile's values for one depth are adjacent.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    rows: usize,
    depth: usize,
    values: Vec<f32>,
}

impl Tiles {
    #[inline(always)]
    pub(super) fn pack<S: Simd>(&mut self, _: S, of: View<'_>, (rows, depth): (usize, usize)) {
        self.rows = rows;
        self.depth = depth;
        self.values.resize(rows * depth, 0.0);
        for (first, height) in tiles::<S>(rows) {
            let tile = &mut self.values[first * depth..][..height * depth];
            for row in 0..height {
                let source = of.row(first + row, depth);
                for (to, value) in tile[row..].iter_mut().step_by(height).zip(source) {
                    *to = *value;
                }
            }
        }
    }
}

/// First row and height of each tile. Heights differ by at most one: a tile of a single row would
/// wait for its own additions.
#[inline(always)]
fn tiles<S: Simd>(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = if S::REGISTER_COUNT >= 32 { TILE_ROWS } else { TILE_ROWS_16_REGISTERS };
    let count = rows.div_ceil(most);
    (0..count).map(move |i| (i * rows / count, (i + 1) * rows / count - i * rows / count))
}

/// Writes `left · right` into `out`, whose rows are `stride` apart and hold whole panels.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    left: &Tiles,
    right: &Panels,
    (out, stride): (&mut [f32], usize),
    write: Write,
) {
    assert_eq!(left.depth, right.depth, "the factors fit each other");
    assert_eq!(right.panel_width, PANEL_REGISTERS * S::F32_LANES, "packed for this processor");
    let panels = right.values.chunks_exact((right.depth + 1) * right.panel_width);
    for (at, panel) in panels.enumerate() {
        for (first, height) in tiles::<S>(left.rows) {
            let out = &mut out[first * stride + at * right.panel_width..];
            let tile = &left.values[first * left.depth..][..height * left.depth];
            simd.vectorize(Tile { height, tile, panel, out, stride, write });
        }
    }
}

struct Tile<'a> {
    height: usize,
    tile: &'a [f32],
    panel: &'a [f32],
    out: &'a mut [f32],
    stride: usize,
    write: Write,
}

impl WithSimd for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.height {
            1 => self.multiply::<S, 1>(simd),
            2 => self.multiply::<S, 2>(simd),
            3 => self.multiply::<S, 3>(simd),
            4 => self.multiply::<S, 4>(simd),
            5 => self.multiply::<S, 5>(simd),
            6 => self.multiply::<S, 6>(simd),
            7 => self.multiply::<S, 7>(simd),
            8 => self.multiply::<S, 8>(simd),
            9 => self.multiply::<S, 9>(simd),
            10 => self.multiply::<S, 10>(simd),
            11 => self.multiply::<S, 11>(simd),
            TILE_ROWS => self.multiply::<S, TILE_ROWS>(simd),
            height => unreachable!("tiles() makes no tile of {height} rows"),
        }
    }
}

impl Tile<'_> {
    /// The height is constant so that the accumulators stay in registers.
    #[inline(always)]
    fn multiply<S: Simd, const HEIGHT: usize>(self, simd: S) {
        let (registers, _) = S::as_simd_f32s(self.panel);
        let (rows, _) = registers.as_chunks::<PANEL_REGISTERS>();
        let Some((start, rows)) = rows.split_first() else {
            return;
        };
        let mut sums = [*start; HEIGHT];
        for (row, left) in rows.iter().zip(self.tile.as_chunks::<HEIGHT>().0) {
            for (sums, left) in sums.iter_mut().zip(left) {
                let left = simd.splat_f32s(*left);
                for (sum, right) in sums.iter_mut().zip(row) {
                    *sum = simd.mul_add_e_f32s(left, *right, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut self.out[row * self.stride..][..PANEL_REGISTERS * S::F32_LANES];
            for (out, sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
                *out = if self.write == Write::Add { simd.add_f32s(*out, *sum) } else { *sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Product<'a> {
        left: View<'a>,
        right: &'a Panels,
        rows: usize,
        out: &'a mut [f32],
        write: Write,
    }

    impl WithSimd for Product<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let mut left = Tiles::default();
            left.pack(simd, self.left, (self.rows, self.right.depth));
            let stride = self.right.padded_columns();
            multiply(simd, &left, self.right, (self.out, stride), self.write);
        }
    }

    /// Small whole numbers, so that sums are exact in any order.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 31 + seed * 17) % 13) as f32 - 6.0).collect()
    }

    proptest! {
        #[test]
        fn products_equal_the_sum_of_products(
            rows in 1_usize..40, depth in 1_usize..40, columns in 1_usize..70, scalar: bool,
        ) {
            let arch = if scalar { Arch::Scalar } else { Arch::new() };
            let left = numbers(rows * depth, 1);
            let by_column = numbers(columns * depth, 2);
            let bias = numbers(columns, 3);
            let mut right = Panels::new(panel_width(arch));
            let of = View { values: &by_column, stride: depth };
            right.pack_columns(of, (depth, columns), &bias);

            let mut transposed = vec![0.0; columns * depth];
            for c in 0..columns {
                for d in 0..depth {
                    transposed[d * columns + c] = by_column[c * depth + d];
                }
            }
            let mut unbiased = Panels::new(panel_width(arch));
            unbiased.pack_rows(View { values: &transposed, stride: columns }, (depth, columns));

            let stride = right.padded_columns();
            let mut out = vec![f32::NAN; rows * stride];
            let left_view = View { values: &left, stride: depth };
            arch.dispatch(Product {
                left: left_view, right: &right, rows, out: &mut out, write: Write::Replace,
            });
            arch.dispatch(Product {
                left: left_view, right: &unbiased, rows, out: &mut out, write: Write::Add,
            });
            for r in 0..rows {
                for c in 0..columns {
                    let dot: f32 = (0..depth)
                        .map(|d| left[r * depth + d] * by_column[c * depth + d])
                        .sum();
                    prop_assert_eq!(out[r * stride + c], bias[c] + 2.0 * dot);
                }
            }
        }
    }
}
