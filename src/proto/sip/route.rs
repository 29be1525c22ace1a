//! Request-URI and Route of a request (RFC 3261 §8.1.2, §12.2.1.1).
//!
//! A URI of a header may have components that are not allowed where it is used (§19.1.1, Table 1). They are removed here and nowhere
//! else: `RequestBuilder` uses [`request_uri`] for every Request-URI.

use sipx_sip::Uri;

/// A URI for use as a Request-URI: without a method parameter and headers (RFC 3261 §19.1.1).
#[must_use]
pub fn request_uri(uri: Uri) -> Uri {
    without(uri, &["method"])
}

/// A URI for use in Route, Record-Route and the Contact of a dialog: without a method parameter, a ttl parameter and headers (RFC 3261
/// §19.1.1).
#[must_use]
pub fn route_uri(uri: Uri) -> Uri {
    without(uri, &["method", "ttl"])
}

/// Request-URI and rows of Route for a request to `target` through `routes`, nearest first. If the nearest is a strict router, it becomes
/// the Request-URI, and the target becomes the last row (RFC 3261 §12.2.1.1).
#[must_use]
pub fn route_request(target: &Uri, routes: &[Uri]) -> (Uri, Vec<String>) {
    let row = |uri: &Uri| format!("<{}>", route_uri(uri.clone()));
    match routes.split_first() {
        Some((strict, rest)) if !is_loose_router(strict) => {
            (request_uri(strict.clone()), rest.iter().chain([target]).map(row).collect())
        }
        _ => (request_uri(target.clone()), routes.iter().map(row).collect()),
    }
}

/// Whether a URI is that of a loose router: it has the parameter `lr`.
#[must_use]
pub fn is_loose_router(uri: &Uri) -> bool {
    uri.params().is_some_and(|params| params.contains("lr"))
}

/// Changes nothing if there is nothing to remove, so that the URI stays as received.
fn without(mut uri: Uri, parameters: &[&str]) -> Uri {
    for name in parameters {
        if uri.params().is_some_and(|params| params.contains(name)) {
            uri.remove_param(name);
        }
    }
    let headers = uri.headers().into_iter().flat_map(|headers| headers.iter());
    let names: Vec<String> = headers.map(|one| String::from_utf8_lossy(one.name()).into_owned()).collect();
    for name in names {
        uri.remove_header(&name);
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Method, RequestBuilder, uri};

    #[test]
    fn a_request_uri_has_no_method_and_no_headers() {
        for (given, stands) in [
            ("sip:a@h?Subject=hi", "sip:a@h"),
            (
                "sip:a@h:5099;transport=tcp;METHOD=BYE;ob?Subject=hi&Subject=ho&body=x%3Fy",
                "sip:a@h:5099;transport=tcp;ob",
            ),
            ("sips:a:b@[2001:db8::1]?a=", "sips:a:b@[2001:db8::1]"),
            ("sip:a;method=x?y@h;%6dethod=BYE;ttl=1;maddr=m", "sip:a;method=x?y@h;ttl=1;maddr=m"),
            ("sip:%61@H;lr;x=%41", "sip:%61@H;lr;x=%41"),
            ("tel:+1-201;phone-context=x", "tel:+1-201;phone-context=x"),
        ] {
            let request = RequestBuilder::new(Method::Bye, uri(given).unwrap()).empty();
            assert_eq!(request.uri.to_string(), stands, "{given}");
        }
    }

    #[test]
    fn a_route_keeps_all_that_is_allowed_in_one() {
        let given = "sip:p@h;lr=on;r2=on;ftag=1;method=BYE;ttl=3;maddr=m?Route=x";
        assert_eq!(route_uri(uri(given).unwrap()).to_string(), "sip:p@h;lr=on;r2=on;ftag=1;maddr=m");
    }

    #[test]
    fn a_strict_router_is_the_request_uri_and_the_target_goes_last() {
        let all = |texts: &[&str]| -> Vec<Uri> { texts.iter().map(|text| uri(text).unwrap()).collect() };
        let target = uri("sip:a@h?x=y").unwrap();
        let (to, routes) = route_request(&target, &all(&["sip:one;x=1;method=BYE?a=b", "sip:two;lr?a=b", "sip:three"]));
        assert_eq!(to.to_string(), "sip:one;x=1");
        assert_eq!(routes, ["<sip:two;lr>", "<sip:three>", "<sip:a@h>"]);
        let (to, routes) = route_request(&target, &all(&["sip:two;lr?a=b", "sip:three"]));
        assert_eq!((to.to_string().as_str(), routes), ("sip:a@h", vec!["<sip:two;lr>".into(), "<sip:three>".into()]));
        assert_eq!(route_request(&target, &[]).1, Vec::<String>::new());
    }
}
