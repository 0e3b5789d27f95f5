//! An app's answer on its way to a visitor and into the cache.
//!
//! The app is read as fast as it writes, so that a visitor who reads slowly, or leaves, keeps nobody waiting who asks for the same.
//! What turns out to be longer than what is kept goes on as any other answer, at the visitor's pace.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use response_cache::{Begun, Cache, Collection, Key, Landed, Now, Refused, Request, Ticket};
use tokio::sync::mpsc;

use crate::body::{Body, Broken};
use crate::edge::Edge;
use crate::upstream::Leased;

/// What is to become of an answer.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) cache: Arc<Cache>,
    pub(super) key: Key,
    pub(super) request: Request,
    pub(super) edge: Arc<Edge>,
    /// When it was asked for, and when its head was received.
    pub(super) times: (Now, Now),
    pub(super) begun: Begun,
    pub(super) ticket: Option<Ticket>,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Broken(Broken),
    /// It is not kept: from here on it is read by whoever wants it.
    Rest(Leased),
}

/// The body of an answer that is being kept, as its visitor reads it.
#[derive(Debug)]
pub struct Collected {
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// Bytes that are still to come, where the app says so.
    left: Option<u64>,
    rest: Option<Leased>,
    has_ended: bool,
}

pub(super) fn collect(response: Response<Body>, keeping: Keeping) -> Response<Body> {
    let (head, body) = response.into_parts();
    let Body::App(leased) = body else { return Response::from_parts(head, body) };
    let (status, headers) = (head.status, head.headers.clone());
    if leased.is_end_stream() {
        keeping.keep(status, headers, Bytes::new());
        return Response::from_parts(head, Body::App(leased));
    }
    let (sender, pieces) = mpsc::unbounded_channel();
    let left = leased.size_hint().exact();
    tokio::spawn(read(leased, (status, headers), keeping, sender));
    let collected = Collected { pieces, left, rest: None, has_ended: false };
    Response::from_parts(head, Body::Collected(Box::new(collected)))
}

async fn read(
    mut app: Leased,
    (status, headers): (StatusCode, HeaderMap),
    keeping: Keeping,
    visitor: mpsc::UnboundedSender<Piece>,
) {
    let mut collection = Collection::new(&keeping.cache);
    // Whether the visitor is still there makes no difference: what he asked for is there for the next one.
    let send = |piece: Piece| drop(visitor.send(piece));
    loop {
        let frame = match app.frame().await {
            None => {
                keeping.keep(status, headers, collection.whole());
                return send(Piece::End);
            }
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                send(Piece::Broken(Broken::App(error)));
                return keeping.refuse(Refused::Unfinished);
            }
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    send(Piece::Trailers(trailers));
                }
                send(Piece::End);
                return keeping.refuse(Refused::Trailers);
            }
        };
        if let Err(why) = collection.add(data.clone()) {
            send(Piece::Data(data));
            send(Piece::Rest(app));
            return keeping.refuse(why);
        }
        // Before the visitor has its end, so that what he asks for next finds it.
        if app.is_end_stream() {
            keeping.keep(status, headers, collection.whole());
            send(Piece::Data(data));
            return send(Piece::End);
        }
        send(Piece::Data(data));
    }
}

impl Keeping {
    fn keep(self, status: StatusCode, headers: HeaderMap, body: Bytes) {
        let Self { cache, key, request, times, begun, ticket, .. } = self;
        let kept = cache.keep(&key, &request, (status, headers, body), times, begun);
        if let Err(why) = kept {
            cache.counters.refused(why);
        }
        if let Some(ticket) = ticket {
            ticket.land(if kept.is_ok() { Landed::Kept } else { Landed::NotKept });
        }
    }

    fn refuse(self, why: Refused) {
        let now = Now { instant: self.edge.clock.instant(), ..self.times.1 };
        self.cache.refuse(&self.key, &self.request, why, now);
        if let Some(ticket) = self.ticket {
            ticket.land(Landed::NotKept);
        }
    }
}

impl Collected {
    pub fn has_ended(&self) -> bool {
        self.has_ended || self.left == Some(0) || self.rest.as_ref().is_some_and(http_body::Body::is_end_stream)
    }

    pub fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.rest.is_none() {
            match ready!(self.pieces.poll_recv(cx)) {
                Some(Piece::Data(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Piece::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Some(Piece::Broken(broken)) => return Poll::Ready(Some(Err(broken))),
                Some(Piece::Rest(rest)) => self.rest = Some(rest),
                Some(Piece::End) => self.has_ended = true,
                // Whoever read for us is gone before its time: what came is not the whole.
                None if !self.has_ended => return Poll::Ready(Some(Err(Broken::Unread))),
                None => {}
            }
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(rest).poll_frame(cx));
        if let Some(Ok(frame)) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = self.left.map(|left| left.saturating_sub(length));
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Broken::App)))
    }
}
