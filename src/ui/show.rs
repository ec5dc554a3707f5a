//! Showing a run while it goes on, asking the user, and the last word.
//!
//! Progress goes to standard error, results to standard output. Drawing happens on a thread of its
//! own behind a channel without a limit: a terminal that stands still (or a pipe that nobody reads)
//! only delays what is shown, never the run, and all events of a run are a few megabytes at most.

use std::{
    io::{self, Write},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    protocol::{
        event::Event,
        request::{Approval, Question},
        usage::Micros,
    },
    ui::{
        ask::{self, Word},
        bars::Bars,
        json, plain, summary,
        text::{Colour, escape},
        view::View,
    },
};

/// How often it is looked whether an answer is still waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

    /// Asks whether something may run, of whoever types `lines`. Blocks until there is an answer or
    /// nobody waits for it any more; bars stand still meanwhile.
    pub fn ask(
        &self,
        question: &Question,
        lines: &mpsc::Receiver<String>,
        is_gone: &dyn Fn() -> bool,
    ) -> Approval {
        if !self.style.terminal {
            return Approval::NoTerminal;
        }
        // What was typed before the question was shown is no answer to it.
        while lines.try_recv().is_ok() {}
        self.bars.suspend(|| {
            let say = |text: &str| {
                let mut out = io::stderr().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
            };
            if !say(&ask::text(question, self.style.color)) {
                return Approval::No;
            }
            loop {
                say(&ask::keys(question));
                let Some(line) = next(lines, is_gone) else { break };
                match ask::word(&line, question) {
                    Word::Answer(answer) => return answer,
                    Word::Unclear => {}
                    Word::Edit => {
                        say("  run instead: ");
                        let Some(line) = next(lines, is_gone) else { break };
                        return Approval::Edit(line.trim_end_matches(['\n', '\r']).to_owned());
                    }
                }
            }
            say("\n  nobody waits for the answer any more; it counts as a no\n");
            Approval::Late
        })
    }

    /// Says a line between what is shown.
    pub fn say(&self, text: &str) {
        self.bars.suspend(|| {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "{}", escape(text));
        });
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

/// Returns the next line, or none once nobody waits for it or types.
fn next(lines: &mpsc::Receiver<String>, is_gone: &dyn Fn() -> bool) -> Option<String> {
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => return Some(line),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if is_gone() => return None,
            Err(RecvTimeoutError::Timeout) => {}
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
    use crate::{
        protocol::{ids::AgentId, request::Bound},
        ui::fixture,
    };

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

    fn question() -> Question {
        Question {
            agent: AgentId::new("a@1"),
            what: "rm -rf /".to_owned(),
            why: "it removes".to_owned(),
            stake: "high".to_owned(),
            cwd: "/repo".to_owned(),
            rules: Vec::new(),
            text: Some("rm -rf /".to_owned()),
            bound: Bound("b".to_owned()),
        }
    }

    #[test]
    fn nobody_is_asked_where_nobody_sits() {
        let (_keys, lines) = mpsc::channel();
        let screen = Screen::new(Style::default());
        assert_eq!(screen.ask(&question(), &lines, &|| false), Approval::NoTerminal);
    }

    #[test]
    fn what_was_typed_before_the_question_is_no_answer_and_silence_is_a_no() {
        let screen = Screen::new(Style { terminal: true, ..Style::default() });
        let (keys, lines) = mpsc::channel();
        keys.send("y\n".to_owned()).unwrap();
        assert_eq!(screen.ask(&question(), &lines, &|| true), Approval::Late);
        let typist = std::thread::spawn(move || {
            // Only what comes while the question is asked counts, whenever that is.
            while keys.send("e\n".to_owned()).is_ok() && keys.send("true\n".to_owned()).is_ok() {
                std::thread::yield_now();
            }
        });
        assert!(matches!(screen.ask(&question(), &lines, &|| false), Approval::Edit(_)));
        drop(lines);
        typist.join().unwrap();
    }
}
