//! What people and scripts read: the script tag, opting out and in, the sign of life.

use super::answer::{Answer, NO_STORE};
use super::{Answered, Ask, Responder, Route, Sink};
use crate::params::Params;

const SCRIPT: &str = include_str!("t.js");
/// For pages that people open: nothing is loaded, framed, sent or told to others (CSP Level 3).
const PAGE: &str = "Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n";
/// How long an opt-out lasts, in days: as long as browsers keep a cookie (RFC 6265bis, 5.5).
const OPT_OUT_DAYS: u32 = 400;

const OPTED_OUT: &str = "You have opted out. 您已选择退出。\
    This browser now carries a cookie that says so; we set no other cookie and keep no visitor id.";
const OPTED_IN: &str = "You have opted in again. 您已重新加入。The opt-out cookie is gone.";

impl Responder {
    pub(super) fn page(&mut self, route: Route, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let visit = self.visit(ask, &Params::new());
        let mut reply = Answer::new(sink.out, "200 OK", &self.turn.date, ask.close, ask.head());
        match route {
            Route::Script => {
                reply.lines("Cache-Control: public, max-age=3600\r\nCross-Origin-Resource-Policy: cross-origin\r\nX-Content-Type-Options: nosniff\r\n");
                reply.body("text/javascript; charset=utf-8", SCRIPT.as_bytes());
            }
            Route::OptOut => {
                reply.lines(NO_STORE).lines(PAGE);
                super::hit::cookie(&mut reply, "tk_optout").push(b'1');
                self.end_cookie(&mut reply, &visit, OPT_OUT_DAYS, true);
                for name in ["tk_vid", "tk_aff", "affiliate_track"] {
                    super::hit::cookie(&mut reply, name);
                    self.end_cookie(&mut reply, &visit, 0, name != "affiliate_track");
                }
                reply.body("text/html; charset=utf-8", html("Opted out", OPTED_OUT).as_bytes());
            }
            Route::OptIn => {
                reply.lines(NO_STORE).lines(PAGE);
                super::hit::cookie(&mut reply, "tk_optout");
                self.end_cookie(&mut reply, &visit, 0, true);
                reply.body("text/html; charset=utf-8", html("Opted in", OPTED_IN).as_bytes());
            }
            _ => {
                reply.lines(NO_STORE);
                reply.body("text/plain; charset=utf-8", b"ok\n");
            }
        }
        Answered::default()
    }
}

fn html(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}
