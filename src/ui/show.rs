//! Showing a run while it goes on, asking the user, and the last word.
//!
//! Progress goes to standard error, results to standard output. Drawing happens on a thread of its
//! own behind a channel without a limit: a terminal that stands still (or a pipe that nobody reads)
//! only delays what is shown, never the run, and all events of a run are a few megabytes at most.

use std::io::{self, BufRead, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    protocol::{event::Event, request::Approval, usage::Micros},
    ui::{
        bars::Bars,
        json, plain, summary,
        text::{Colour, Ink, escape},
        view::View,
    },
};

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Progress and a summary, for people.
    #[default]
    Text,
    /// One JSON object at the end.
    Json,
    /// Each event as a line of JSON when it happens.
    StreamJson,
}

/// How it is printed; `cli` finds out what the terminal can do.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// What.
    pub output: Output,
    /// Whether with colours; not where `NO_COLOR` is set.
    pub color: Colour,
    /// Whether standard input and standard error are a terminal.
    pub terminal: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// The cap on money that the bars compare with.
    pub budget: Option<Micros>,
}

impl Default for Style {
    fn default() -> Self {
        let (output, color) = (Output::Text, Colour::Never);
        Self { output, color, terminal: false, width: 80, budget: None }
    }
}

/// Shows events until their channel closes and returns the view of the whole run.
pub fn show(events: UnboundedReceiver<Event>, style: Style) -> JoinHandle<View> {
    Screen::new(style).show(View::default(), events)
}

/// The terminal of a run, shared by its progress and its questions.
#[derive(Clone, Debug)]
pub struct Screen {
    style: Style,
    bars: MultiProgress,
}

impl Screen {
    /// Returns a screen on which nothing is drawn yet.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
        }
    }

    /// Shows events until their channel closes; `past` is what a resumed run has done before,
    /// which is counted and not shown again.
    pub fn show(&self, past: View, mut events: UnboundedReceiver<Event>) -> JoinHandle<View> {
        let screen = self.clone();
        spawn_blocking(move || {
            let mut view = past;
            let mut canvas = screen.canvas();
            while let Some(event) = events.blocking_recv() {
                view.apply(&event);
                canvas.draw(&view, &event);
            }
            if let Canvas::Bars(bars) = canvas {
                bars.clear();
            }
            view
        })
    }

    /// Asks whether something may run. Blocks until the user answers; bars stand still meanwhile.
    pub fn ask(&self, what: &str, why: &str) -> Approval {
        if !self.style.terminal {
            return Approval::NoTerminal;
        }
        let color = self.style.color;
        self.bars.suspend(|| {
            let mut out = io::stderr().lock();
            let head = color.paint(Ink::Warn, "? May this run?");
            let what: String = what.lines().map(|line| format!("    {}\n", escape(line))).collect();
            let asked = write!(out, "{head} {}\n{what}  [y/N] ", escape(why));
            let mut answer = String::new();
            let read = asked
                .and_then(|()| out.flush())
                .and_then(|()| io::stdin().lock().read_line(&mut answer));
            match (read, answer.trim().to_lowercase().as_str()) {
                (Ok(_), "y" | "yes") => Approval::Yes,
                _ => Approval::No,
            }
        })
    }

    /// Prints the last word on a run: its summary, or its JSON object.
    pub fn end(&self, view: &View) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.style.output {
            Output::Text => {
                let text = summary::render(view, self.style.width, self.style.color);
                write!(out, "\n{text}")?;
            }
            Output::Json => writeln!(out, "{}", json::line(view))?,
            // Its last event has said how the run ended.
            Output::StreamJson => {}
        }
        out.flush()
    }

    fn canvas(&self) -> Canvas {
        match self.style.output {
            Output::Json => Canvas::Blank,
            Output::StreamJson => Canvas::Stream,
            Output::Text if self.style.terminal => {
                let bars = Bars::new(self.bars.clone(), self.style.budget, self.style.color);
                Canvas::Bars(Box::new(bars))
            }
            Output::Text => Canvas::Lines,
        }
    }
}

/// Where events are drawn.
enum Canvas {
    Bars(Box<Bars>),
    Lines,
    Stream,
    /// Nothing is shown, or nobody reads any more.
    Blank,
}

impl Canvas {
    fn draw(&mut self, view: &View, event: &Event) {
        let drawn = match self {
            Self::Bars(bars) => {
                bars.update(view, event);
                Ok(())
            }
            Self::Lines => plain::line(view, event)
                .map_or(Ok(()), |line| writeln!(io::stderr().lock(), "{line}")),
            Self::Stream => {
                let mut out = io::stdout().lock();
                writeln!(out, "{}", json::event(event)).and_then(|()| out.flush())
            }
            Self::Blank => Ok(()),
        };
        if drawn.is_err() {
            *self = Self::Blank;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::ui::fixture;

    #[tokio::test]
    async fn what_was_shown_is_the_view_of_the_whole_run_also_after_a_resume() {
        let events = fixture::stopped().events;
        let style = Style { output: Output::Json, ..Style::default() };
        for split in [0, 3] {
            let (to, from) = unbounded_channel();
            let shown = Screen::new(style).show(View::of(&events[..split]), from);
            events[split..].iter().for_each(|event| to.send(event.clone()).unwrap());
            drop(to);
            assert_eq!(shown.await.unwrap(), View::of(&events));
        }
    }

    #[test]
    fn nobody_is_asked_where_nobody_sits() {
        let screen = Screen::new(Style::default());
        assert_eq!(screen.ask("rm -rf /", "it removes"), Approval::NoTerminal);
    }
}
