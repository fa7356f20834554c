//! Turns an uploaded image into the small square WebP that is stored.
//!
//! Decoding needs far more memory than the upload has bytes. The dimensions are checked before decoding, one image is decoded at
//! a time, and nothing else has its size: the square is scaled from a view of the decoded pixels.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::blocking_pool::BlockingPool;
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::http::{ConcurrencyLimit, Slot};
use crate::values::ids::UserId;

/// The maximum size of an upload, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The media types of an upload.
pub const MEDIA_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp"];

/// The maximum width and height of an upload, in pixels.
const MAX_SIDE: u32 = 4096;
/// The width and height of a stored image, in pixels.
const SIDE: u32 = 256;
/// The memory that the decoder may allocate: eight bytes a pixel, as a PNG with 16 bits per channel has.
const MAX_MEMORY: u64 = 8 * (MAX_SIDE as u64) * (MAX_SIDE as u64);
/// How many uploads are read and wait to be decoded at a time, with 2 MiB each.
const MAX_UPLOADS: usize = 8;
const MAX_UPLOADS_PER_USER: usize = 2;
/// How long an upload may wait for the ones before it.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Resizes one image at a time. Cheap to clone.
#[derive(Clone)]
pub struct ImageResizer {
    pool: Arc<BlockingPool>,
    uploads: ConcurrencyLimit,
}

/// An upload that may be read into memory.
pub struct Upload {
    pool: Arc<BlockingPool>,
    _slot: Slot,
}

impl Default for ImageResizer {
    fn default() -> Self {
        Self {
            pool: Arc::new(BlockingPool::new("images", 1, MAX_UPLOADS, QUEUE_TIMEOUT)),
            uploads: ConcurrencyLimit::new("uploads", MAX_UPLOADS_PER_USER, MAX_UPLOADS),
        }
    }
}

impl ImageResizer {
    /// Call it before the body is read.
    ///
    /// # Errors
    /// `rate_limited` during too many uploads of this user; `unavailable` during too many uploads of others.
    pub fn begin_upload(&self, user_id: UserId) -> Result<Upload, Error> {
        Ok(Upload {
            pool: Arc::clone(&self.pool),
            _slot: self.uploads.enter(user_id)?,
        })
    }
}

impl Upload {
    /// Crops an image to its central square, scales that to 256 pixels, and encodes it as WebP.
    ///
    /// # Errors
    /// `unsupported_media_type` for another kind of file; `validation_error` when it can't be decoded or has too many pixels;
    /// `unavailable` when it waits too long.
    pub async fn resize(self, content: Bytes) -> Result<Vec<u8>, Error> {
        self.pool.run(move || resize(&content)).await
    }
}

fn undecodable() -> Error {
    Error::field(
        "#",
        Invalid::new(FieldCode::InvalidFormat, "The image cannot be decoded."),
    )
}

fn resize(upload: &[u8]) -> Result<Vec<u8>, Error> {
    // By its first bytes, whatever Content-Type says.
    let format = image::guess_format(upload).map_err(|_| undecodable())?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(Error::new(Code::UnsupportedMediaType));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(upload), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| undecodable())?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE {
        let detail = format!("The image is wider or higher than {MAX_SIDE} pixels.");
        let too_large = Invalid::new(FieldCode::OutOfRange, detail).with("max", MAX_SIDE);
        return Err(Error::field("#", too_large));
    }
    // The stored image has no metadata, so the orientation it names is applied to the pixels.
    let orientation = decoder.orientation().map_err(|_| undecodable())?;
    let image = DynamicImage::from_decoder(decoder).map_err(|_| undecodable())?;
    let has_alpha = image.color().has_alpha();
    let mut square = scaled_square(&image);
    drop(image);
    square.apply_orientation(orientation);
    // The WebP encoder takes eight bits a channel, with or without alpha.
    if !has_alpha {
        square = DynamicImage::ImageRgb8(square.to_rgb8());
    }
    let mut webp = Vec::new();
    square
        .write_to(&mut Cursor::new(&mut webp), ImageFormat::WebP)
        .map_err(Error::internal)?;
    Ok(webp)
}

/// The central square, scaled to [`SIDE`].
fn scaled_square(image: &DynamicImage) -> DynamicImage {
    let side = image.width().min(image.height());
    let (x, y) = ((image.width() - side) / 2, (image.height() - side) / 2);
    let square = imageops::crop_imm(image, x, y, side, side);
    // The average of blocks is as good as a filter at such a ratio. The filter reads each pixel of its input many times, and its
    // working memory grows with the width.
    let square = if side > 4 * SIDE {
        imageops::thumbnail(&*square, 2 * SIDE, 2 * SIDE)
    } else {
        square.to_image()
    };
    DynamicImage::ImageRgba8(imageops::resize(&square, SIDE, SIDE, FilterType::Lanczos3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut Cursor::new(&mut bytes), format)
            .unwrap();
        bytes
    }

    #[test]
    fn every_format_becomes_a_small_square() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let webp = resize(&encoded(300, 200, format)).unwrap();
            let image = image::load_from_memory_with_format(&webp, ImageFormat::WebP).unwrap();
            assert_eq!((image.width(), image.height()), (256, 256));
        }
    }

    #[test]
    fn the_centre_is_kept_and_turned_upright() {
        // Left of the centre red, right of it blue, and green beyond the central square.
        let mut image = image::RgbImage::new(3000, 2000);
        for (x, _, pixel) in image.enumerate_pixels_mut() {
            *pixel = match x {
                500..1500 => image::Rgb([255, 0, 0]),
                1500..2500 => image::Rgb([0, 0, 255]),
                _ => image::Rgb([0, 255, 0]),
            };
        }
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        let orientation = image::metadata::Orientation::Rotate90;
        // A TIFF header with one entry, the orientation (Exif 2.32 §4.6.4).
        let exif = [
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(),
            &[orientation.to_exif(), 0, 0, 0],
            &[0; 4],
        ];
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif.concat()).unwrap();
        encoder.encode_image(&image).unwrap();
        let webp = image::load_from_memory(&resize(&jpeg).unwrap()).unwrap().to_rgb8();
        let is_near = |x, y, [r, g, b]: [u8; 3]| {
            let found = webp.get_pixel(x, y).0;
            [r, g, b]
                .iter()
                .zip(found)
                .all(|(expected, found)| expected.abs_diff(found) < 16)
        };
        assert!(is_near(0, 0, [255, 0, 0]) && is_near(255, 0, [255, 0, 0]));
        assert!(is_near(0, 255, [0, 0, 255]) && is_near(255, 255, [0, 0, 255]));
    }

    #[test]
    fn an_oversized_or_undecodable_picture_is_rejected() {
        let code = |content: &[u8]| resize(content).unwrap_err().code();
        assert_eq!(code(&encoded(4097, 1, ImageFormat::Png)), Code::ValidationError);
        assert_eq!(code(b"not an image"), Code::ValidationError);
        assert_eq!(code(b"GIF89a\x01\x00\x01\x00"), Code::UnsupportedMediaType);
        let whole = encoded(300, 200, ImageFormat::Png);
        assert_eq!(code(&whole[..whole.len() / 2]), Code::ValidationError);
    }

    #[test]
    fn a_decompression_bomb_is_rejected_before_decoding() {
        // The header claims 60000 x 60000 pixels.
        let mut png = encoded(1, 1, ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let crc = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(resize(&png).unwrap_err().code(), Code::ValidationError);
    }
}
