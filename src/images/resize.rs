//! Pictures: from what somebody sent to the small square WebP that is stored.
//!
//! A picture is work and memory before it is a picture, so its dimensions are read before it is decoded, and only one is
//! decoded at a time.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::blocking_pool::BlockingPool;
use crate::error::{Code, Error, FieldCode, Invalid};

/// Most bytes of a picture.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// What a picture may be.
pub const MEDIA_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp"];

/// Most pixels a side.
const MAX_SIDE: u32 = 4096;
/// Pixels a side of what is stored.
const SIDE: u32 = 256;
/// Most memory of decoding one: four bytes a pixel, and as much again to work with.
const MAX_MEMORY: u64 = 2 * 4 * (MAX_SIDE as u64) * (MAX_SIDE as u64);
/// Longest wait for a turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes stored images of pictures, one at a time.
#[derive(Clone)]
pub struct ImageResizer(Arc<BlockingPool>);

impl Default for ImageResizer {
    fn default() -> Self {
        Self(Arc::new(BlockingPool::new("pictures", 1, QUEUE_TIMEOUT)))
    }
}

impl ImageResizer {
    /// The WebP of a picture: its centre square, scaled to 256 pixels.
    ///
    /// # Errors
    /// `unsupported_media_type` when it is another kind of file; `validation_error` when it cannot be decoded or has too many
    /// pixels; `unavailable` when no turn comes in time.
    pub async fn paint(&self, content: Bytes) -> Result<Vec<u8>, Error> {
        self.0.run(move || paint(&content)).await
    }
}

fn invalid(code: FieldCode, detail: &'static str) -> Error {
    Error::field("#", Invalid::new(code, detail))
}

fn paint(content: &[u8]) -> Result<Vec<u8>, Error> {
    let undecodable = || invalid(FieldCode::InvalidFormat, "The picture cannot be read.");
    // What it is counts, not what it is called.
    let format = image::guess_format(content).map_err(|_| undecodable())?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(Error::new(Code::UnsupportedMediaType));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(content), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| undecodable())?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE {
        let detail = "A side of the picture has more than 4096 pixels.";
        return Err(Error::field(
            "#",
            Invalid::new(FieldCode::OutOfRange, detail).with("max", MAX_SIDE),
        ));
    }
    // Metadata is dropped, so what it says of the way up must be done first.
    let orientation = decoder.orientation().map_err(|_| undecodable())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| undecodable())?;
    picture.apply_orientation(orientation);
    let side = picture.width().min(picture.height());
    let (x, y) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    let square = picture
        .crop_imm(x, y, side, side)
        .resize_exact(SIDE, SIDE, FilterType::Lanczos3);
    let mut webp = Vec::new();
    // The alpha channel is kept where there is one; the encoder takes eight bits a channel.
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
    fn every_kind_becomes_a_small_square() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let webp = paint(&encoded(300, 200, format)).unwrap();
            let picture = image::load_from_memory_with_format(&webp, ImageFormat::WebP).unwrap();
            assert_eq!((picture.width(), picture.height()), (256, 256));
        }
    }

    #[test]
    fn what_is_too_large_or_no_picture_is_refused() {
        let code = |content: &[u8]| paint(content).unwrap_err().code();
        assert_eq!(code(&encoded(4097, 1, ImageFormat::Png)), Code::ValidationError);
        assert_eq!(code(b"not a picture"), Code::ValidationError);
        assert_eq!(code(b"GIF89a\x01\x00\x01\x00"), Code::UnsupportedMediaType);
        let whole = encoded(300, 200, ImageFormat::Png);
        assert_eq!(code(&whole[..whole.len() / 2]), Code::ValidationError);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        // A header that claims 60000 x 60000 pixels, with next to nothing behind it.
        let mut png = encoded(1, 1, ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let crc = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(paint(&png).unwrap_err().code(), Code::ValidationError);
    }
}
