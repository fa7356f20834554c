//! Turns an uploaded image into the small square WebP that is stored.
//!
//! Decoding needs far more memory than the upload has bytes: dimensions are checked before decoding, and one image is
//! decoded at a time.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::blocking_pool::BlockingPool;
use crate::error::{Code, Error, FieldCode, Invalid};

/// The maximum size of an upload, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The media types of an upload.
pub const MEDIA_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp"];

/// The maximum width and height of an upload, in pixels.
const MAX_SIDE: u32 = 4096;
/// The width and height of a stored image, in pixels.
const SIDE: u32 = 256;
/// The memory that the decoder may allocate: four bytes a pixel, and as much again as working memory.
const MAX_MEMORY: u64 = 2 * 4 * (MAX_SIDE as u64) * (MAX_SIDE as u64);
/// How long an upload may wait for the ones before it.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Resizes one image at a time. Cheap to clone.
#[derive(Clone)]
pub struct ImageResizer(Arc<BlockingPool>);

impl Default for ImageResizer {
    fn default() -> Self {
        Self(Arc::new(BlockingPool::new("images", 1, QUEUE_TIMEOUT)))
    }
}

impl ImageResizer {
    /// Crops an image to its central square, scales that to 256 pixels, and encodes it as WebP.
    ///
    /// # Errors
    /// `unsupported_media_type` for another kind of file; `validation_error` when it can't be decoded or has too many pixels;
    /// `unavailable` when the queue is too long.
    pub async fn resize(&self, upload: Bytes) -> Result<Vec<u8>, Error> {
        self.0.run(move || resize(&upload)).await
    }
}

fn resize(upload: &[u8]) -> Result<Vec<u8>, Error> {
    let undecodable = || {
        Error::field(
            "#",
            Invalid::new(FieldCode::InvalidFormat, "The image cannot be decoded."),
        )
    };
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
    let mut image = DynamicImage::from_decoder(decoder).map_err(|_| undecodable())?;
    image.apply_orientation(orientation);
    let side = image.width().min(image.height());
    let (x, y) = ((image.width() - side) / 2, (image.height() - side) / 2);
    let square = image
        .crop_imm(x, y, side, side)
        .resize_exact(SIDE, SIDE, FilterType::Lanczos3);
    let mut webp = Vec::new();
    // The WebP encoder takes eight bits a channel, with or without alpha.
    let square = if square.color().has_alpha() {
        DynamicImage::ImageRgba8(square.to_rgba8())
    } else {
        DynamicImage::ImageRgb8(square.to_rgb8())
    };
    square
        .write_to(&mut Cursor::new(&mut webp), ImageFormat::WebP)
        .map_err(Error::internal)?;
    Ok(webp)
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
