//! The requests of a file: heads and bodies one after the other, as they go over the wire.

use crate::answer;

/// Cuts the file into requests; a body is as long as its `Content-Length` says.
pub fn split(bytes: &[u8]) -> Result<Vec<Box<[u8]>>, String> {
    let mut requests = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let problem = || format!("request {} is cut short", requests.len() + 1);
        let head = answer::head_length(rest).ok_or_else(problem)?;
        let length = head + answer::fields(&rest[..head]).length.unwrap_or(0);
        let request = rest.get(..length).ok_or_else(problem)?;
        requests.push(request.into());
        rest = &rest[length..];
    }
    if requests.is_empty() { Err("has no request".into()) } else { Ok(requests) }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn requests_are_cut_after_their_bodies() {
        let get = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let post = b"POST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\na=b";
        let file = [&get[..], post, get].concat();
        let requests = split(&file).unwrap();
        assert_eq!(requests.iter().map(|r| &r[..]).collect::<Vec<_>>(), [&get[..], post, get]);
    }

    #[test]
    fn a_cut_request_is_refused() {
        assert!(split(b"").is_err());
        assert!(split(b"GET / HTTP/1.1\r\n").is_err());
        assert!(split(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab").is_err());
    }
}
