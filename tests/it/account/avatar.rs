//! The avatar.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::{TestApp, png, wait_until};

#[actix_web::test]
async fn an_avatar_is_converted_to_a_small_webp_with_an_immutable_url() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let put = |body: Vec<u8>| {
        app.request("PUT", "/me/avatar")
            .bearer(&ada.access_token)
            .body("image/png", body)
            .send()
    };
    let url = put(png(300, 200)).await.expect(200)["avatar_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = url.strip_prefix("http://keyward.test").unwrap().to_owned();
    assert_eq!(
        app.get("/me").bearer(&ada.access_token).await.expect(200)["avatar_url"],
        url
    );
    let picture = app.get(&path).await;
    assert_eq!(picture.status, 200);
    assert_eq!(picture.header("content-type"), Some("image/webp"));
    assert_eq!(
        picture.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let decoded = image::load_from_memory_with_format(&picture.bytes, image::ImageFormat::WebP).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (256, 256));
    let again = app
        .get(&path)
        .header("if-none-match", picture.header("etag").unwrap())
        .await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    let second = put(png(10, 10)).await.expect(200);
    assert_ne!(second["avatar_url"], url);
    app.get(&path).await.refused(404, "not_found");
    app.delete("/me/avatar").bearer(&ada.access_token).await.expect(204);
    assert_eq!(
        app.get("/me").bearer(&ada.access_token).await.expect(200)["avatar_url"],
        Value::Null
    );
}

#[actix_web::test]
async fn an_image_of_a_wrong_type_or_size_is_rejected() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let put = |media_type: &'static str, body: Vec<u8>| {
        app.request("PUT", "/me/avatar")
            .bearer(&ada.access_token)
            .body(media_type, body)
            .send()
    };
    put("image/gif", png(1, 1)).await.refused(415, "unsupported_media_type");
    put("application/json", b"{}".to_vec())
        .await
        .refused(415, "unsupported_media_type");
    put("image/jpg", b"nonsense".to_vec())
        .await
        .invalid(&[("#", "invalid_format")]);
    put("image/png", b"nonsense".to_vec())
        .await
        .invalid(&[("#", "invalid_format")]);
    put("image/png", png(4097, 1)).await.invalid(&[("#", "out_of_range")]);
    put("image/png", vec![0; 2 * 1024 * 1024 + 1])
        .await
        .refused(413, "payload_too_large");
    assert_eq!(
        app.get("/me").bearer(&ada.access_token).await.expect(200)["avatar_url"],
        Value::Null
    );
}

#[actix_web::test]
async fn of_parallel_uploads_one_image_remains() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    for _ in 0..8 {
        let put = |app: &TestApp| {
            let call = app.request("PUT", "/me/avatar").bearer(&ada.access_token);
            call.body("image/png", png(8, 8)).send()
        };
        let (first, other) = futures_util::future::join(put(&app), put(&second)).await;
        for reply in [first, other] {
            reply.expect(200);
        }
        assert_eq!(app.number("SELECT count(*) FROM images"), 1);
    }
    app.delete("/me").bearer(&ada.access_token).await.expect(204);
    assert_eq!(app.number("SELECT count(*) FROM images"), 0);
}

#[actix_web::test]
async fn a_person_uploads_two_images_at_a_time() {
    // The test makes many uploads, all of which count as changes.
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let [ada, bob] = app.people(["ada", "bob"]).await;
    let put = |token: &str| {
        let call = app.request("PUT", "/me/avatar").bearer(token);
        call.body("image/png", png(8, 8)).send()
    };
    let head = format!(
        "PUT /me/avatar HTTP/1.1\r\nhost: keyward.test\r\nauthorization: Bearer {}\r\ncontent-type: image/png\r\n\
         content-length: 100\r\n\r\n",
        ada.access_token
    );
    let mut slow = Vec::new();
    // One more in each round: another upload in progress can make the service refuse a slow one.
    let refused = async || {
        let mut upload = TcpStream::connect(app.address).unwrap();
        upload.write_all(head.as_bytes()).unwrap();
        slow.push(upload);
        let reply = put(&ada.access_token).await;
        if reply.status == 200 {
            return false;
        }
        reply.refused(429, "rate_limited");
        assert!(reply.header("retry-after").is_some());
        assert_eq!(
            reply.header("ratelimit-policy"),
            Some("\"uploads\";q=2;qu=\"concurrent-requests\"")
        );
        true
    };
    wait_until(Duration::from_secs(10), refused).await;
    put(&bob.access_token).await.expect(200);
}
