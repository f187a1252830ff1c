//! One request, as either door hands it over, and the routes it may go.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

impl Method {
    pub fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// The header fields that mean something to us; empty: not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Headers<'a> {
    pub cookie: &'a [u8],
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub language: &'a [u8],
    pub gpc: &'a [u8],
    pub dnt: &'a [u8],
    pub purpose: &'a [u8],
    pub dest: &'a [u8],
    pub forwarded_for: &'a [u8],
    pub forwarded_proto: &'a [u8],
    pub origin: &'a [u8],
    pub content_type: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Takes one field if it is one of ours; false where that field has been seen before, and then
    /// the first one stays.
    pub fn set(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let slot = match name.len() {
            3 if is("dnt") => &mut self.dnt,
            6 if is("cookie") => &mut self.cookie,
            6 if is("origin") => &mut self.origin,
            7 if is("referer") => &mut self.referer,
            7 if is("sec-gpc") => &mut self.gpc,
            10 if is("user-agent") => &mut self.user_agent,
            11 if is("sec-purpose") => &mut self.purpose,
            12 if is("content-type") => &mut self.content_type,
            14 if is("sec-fetch-dest") => &mut self.dest,
            15 if is("accept-language") => &mut self.language,
            15 if is("x-forwarded-for") => &mut self.forwarded_for,
            17 if is("x-forwarded-proto") => &mut self.forwarded_proto,
            _ => return true,
        };
        if !slot.is_empty() {
            return false;
        }
        *slot = value.trim_ascii();
        true
    }
}

/// One request, parsed by either door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    pub method: Method,
    /// Path and query as sent.
    pub target: &'a [u8],
    pub headers: Headers<'a>,
    pub body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub(super) fn path(&self) -> &'a [u8] {
        path(self.target)
    }

    pub(super) fn query(&self) -> &'a [u8] {
        memchr::memchr(b'?', self.target).map_or(&[], |at| &self.target[at + 1..])
    }
}

fn path(target: &[u8]) -> &[u8] {
    memchr::memchr(b'?', target).map_or(target, |at| &target[..at])
}

/// A link's path begins with this, and its code follows.
pub(super) const LINKS: &[u8] = b"/c/";

/// The edge's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    View,
    Link,
    Redirect,
    Conversion,
    Postback,
    Script,
    Beacon,
    OptOut,
    OptIn,
    Health,
}

impl Route {
    pub fn of(target: &[u8]) -> Option<Route> {
        let path = path(target);
        Some(match path {
            b"/p.gif" | b"/track" => Route::View,
            b"/r" => Route::Redirect,
            b"/conversion" => Route::Conversion,
            b"/postback" => Route::Postback,
            b"/t.js" => Route::Script,
            b"/e" => Route::Beacon,
            b"/optout" => Route::OptOut,
            b"/optin" => Route::OptIn,
            b"/healthz" => Route::Health,
            _ if path.starts_with(LINKS) && path.len() > LINKS.len() => Route::Link,
            _ => return None,
        })
    }

    /// Answered without waiting for the disk, so the front may answer it.
    pub fn is_quick(self) -> bool {
        !matches!(self, Route::Conversion | Route::Postback | Route::Beacon)
    }

    /// `Allow` of a 405.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Route::Postback => "GET, POST",
            Route::Beacon => "POST, OPTIONS",
            Route::Conversion => "GET, HEAD, OPTIONS",
            _ => "GET, HEAD",
        }
    }

    pub(super) fn allows(self, method: Method) -> bool {
        match method {
            Method::Get => self != Route::Beacon,
            Method::Head => !matches!(self, Route::Beacon | Route::Postback),
            Method::Post => matches!(self, Route::Beacon | Route::Postback),
            Method::Options => matches!(self, Route::Beacon | Route::Conversion),
            Method::Other => false,
        }
    }
}
