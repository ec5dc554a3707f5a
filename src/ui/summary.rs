//! The text at the end of a run: what happened, what speaks for it, and what to type next.

use crate::{
    coordinator::task_list::{ListedTask, TaskState},
    protocol::{
        event::Level,
        report::{DiffStat, RunEnd, Verdict},
        task::Phase,
    },
    ui::{
        checks::{CheckRow, Side, rows},
        next,
        plain::{played, verdict_words, why},
        text::{
            Colour, Ink, count, duration, escape, fit, left, money, right, some, tokens, width,
            wrap,
        },
        tree,
        view::View,
    },
};

/// Files that are named in the diff stat.
const FILES: usize = 12;
/// Tasks of the agents that are shown.
const TASKS: usize = 30;
/// The longest word of a writer about its work.
const TOLD: usize = 300;
/// Columns of the signs in the diff stat.
const SIGNS: u64 = 20;

/// Returns the summary, for a terminal of that many columns.
pub fn render(view: &View, columns: usize, colour: Colour) -> String {
    let page = Page { view, room: columns.clamp(64, 110), colour };
    let parts = [
        page.title(),
        page.notes(),
        tree::lines(view, page.room, colour),
        page.tasks(),
        page.checks(),
        page.changes(),
        page.touched(),
        page.report(),
        page.audit(),
        page.next(),
    ];
    let parts = parts.iter().filter(|part| !part.is_empty()).map(|part| part.join("\n"));
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

struct Page<'a> {
    view: &'a View,
    room: usize,
    colour: Colour,
}

impl Page<'_> {
    fn title(&self) -> Vec<String> {
        let (sign, ink, words) = self.end();
        let slug = self.view.start.as_ref().map_or("", |start| start.task.slug.as_str());
        let mut lines = vec![
            format!(
                "{}  {}",
                self.colour.paint(ink, &format!("{sign} {words}")),
                self.colour.paint(Ink::Strong, &escape(slug)),
            ),
            self.colour.paint(Ink::Faint, &"─".repeat(self.room)),
        ];
        lines.extend(self.reason());
        if let Some(start) = &self.view.start {
            lines.push(format!(
                "  {} · {} · base {} · run {}",
                escape(&start.workflow),
                escape(&start.model),
                start.base.short(),
                self.run(),
            ));
        }
        let mut facts = vec![
            duration(self.view.clock),
            count(self.view.turns as usize, "turn"),
            format!("{} tokens", tokens(self.view.usage.total())),
        ];
        facts.extend(money(self.view.cost));
        match self.view.resumed {
            0 => {}
            1 => facts.push("resumed once".to_owned()),
            times => facts.push(format!("resumed {times} times")),
        }
        lines.push(format!("  {}", facts.join(" · ")));
        lines
    }

    fn end(&self) -> (&'static str, Ink, &'static str) {
        match &self.view.end {
            Some(RunEnd::Landed { .. }) => ("✓", Ink::Good, "landed"),
            Some(RunEnd::Reported) => ("✓", Ink::Good, "reported"),
            Some(RunEnd::NotResolved(_)) => ("✗", Ink::Bad, "not resolved"),
            Some(RunEnd::Refused(_)) => ("✗", Ink::Warn, "refused"),
            Some(RunEnd::Budget(_)) => ("◼", Ink::Warn, "budget reached"),
            Some(RunEnd::Conflict(_)) => ("✗", Ink::Bad, "merge conflict"),
            Some(RunEnd::Infrastructure(_)) => ("✗", Ink::Bad, "could not go on"),
            None if self.view.live => ("●", Ink::Good, "running"),
            Some(RunEnd::Interrupted) | None => ("◼", Ink::Warn, "interrupted"),
        }
    }

    /// Returns why the run did not land, over as many lines as it takes.
    fn reason(&self) -> Vec<String> {
        let why = self.view.end.as_ref().map_or("", why);
        why.lines().flat_map(|line| wrap(line, self.room)).collect()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(self.view.start.as_deref().and_then(played).map(str::to_owned));
        if self.view.paid_twice > 0 {
            let calls = count(self.view.paid_twice as usize, "model call");
            notes.push(format!("{calls} in flight at a crash may have been paid twice"));
        }
        if let (true, Some(landing)) = (self.view.taken_back, &self.view.landing) {
            let (to, branch) = (landing.to.short(), escape(&landing.branch));
            notes.push(format!("{to} was taken back: it is not on {branch} any more"));
        }
        for (branch, found) in &self.view.missed {
            let stood = found.as_ref().map_or("was gone", |_| "had moved");
            let to = found.as_ref().map(|found| format!(" to {}", found.short()));
            notes.push(format!(
                "a candidate was not landed: {} {stood}{}",
                escape(branch),
                to.unwrap_or_default()
            ));
        }
        for (level, text) in &self.view.notes {
            let text = escape(text);
            if *level == Level::Warning && !notes.contains(&text) {
                notes.push(text);
            }
        }
        notes.iter().map(|note| format!("  {} {note}", self.colour.paint(Ink::Warn, "!"))).collect()
    }

    /// Returns what a run that lands nothing has to say.
    fn report(&self) -> Vec<String> {
        let Some(report) = &self.view.report else { return Vec::new() };
        let lines = report.trim().lines().flat_map(|line| match line.trim().is_empty() {
            true => vec![String::new()],
            // What fits keeps its indentation.
            false if width(line) + 2 <= self.room => vec![format!("  {}", escape(line))],
            false => wrap(line, self.room),
        });
        [self.colour.paint(Ink::Strong, "Report")].into_iter().chain(lines).collect()
    }

    /// Returns the list that the agents share.
    fn tasks(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.view.tasks.all().take(TASKS).map(|task| self.task(task)).collect();
        if lines.is_empty() {
            return lines;
        }
        let more = self.view.tasks.all().count() - lines.len();
        lines.extend((more > 0).then(|| format!("  and {more} more")));
        [self.colour.paint(Ink::Strong, "Tasks of the agents")].into_iter().chain(lines).collect()
    }

    fn task(&self, ListedTask { id, text, state }: &ListedTask) -> String {
        let (sign, ink, who) = match state {
            TaskState::Open => ("·", Ink::Faint, String::new()),
            TaskState::Claimed { by } => ("●", Ink::Good, escape(by.as_str())),
            TaskState::Done { by, .. } => ("✓", Ink::Good, escape(by.as_str())),
        };
        let head = format!("  {} {} ", self.colour.paint(ink, sign), right(&id.to_string(), 3));
        let room = self.room.saturating_sub(8 + width(&who) + 2);
        format!("{head} {}  {who}", fit(&escape(text), room)).trim_end().to_owned()
    }

    fn checks(&self) -> Vec<String> {
        let rows = rows(self.view.before.as_ref(), self.view.after.as_ref());
        let mut lines = Vec::new();
        if !rows.is_empty() {
            let names = rows.iter().map(|row| width(&escape(&row.command))).max().unwrap_or(0);
            let sides = rows.iter().flat_map(|row| [&row.before, &row.after]).flatten();
            let side = sides.map(|side| width(&side.words)).max().unwrap_or(0).max(8) + 2;
            let room = [names.clamp(8, 32), side];
            let head = left("", room[0] - 2) + &left("before", side + 2) + "after";
            let head = self.colour.paint(Ink::Faint, &head);
            lines.push(self.colour.paint(Ink::Strong, "Checks") + &head);
            lines.extend(rows.iter().map(|row| self.check(row, room)));
        }
        if let Some(verdict) = &self.view.verdict {
            let ink = match verdict {
                Verdict::Green { .. } => Ink::Good,
                Verdict::Red { .. } => Ink::Bad,
                Verdict::NoEvidence => Ink::Warn,
            };
            let words = self.colour.paint(ink, &verdict_words(verdict));
            lines.push(format!("{}  {words}", self.colour.paint(Ink::Strong, "Verdict")));
        }
        if !self.view.conflict.is_empty() {
            lines.push(self.colour.paint(Ink::Strong, "Does not merge"));
            let paths = self.view.conflict.iter().take(FILES);
            lines.extend(paths.map(|path| format!("  {}", escape(path))));
        }
        lines
    }

    /// Returns the line of a check, with so much room for its name and for each of its sides.
    fn check(&self, row: &CheckRow, [names, sides]: [usize; 2]) -> String {
        let side = |side: Option<&Side>| match side {
            None => left("· not run", sides),
            Some(side) => {
                let (sign, ink) = if side.good { ("✓", Ink::Good) } else { ("✗", Ink::Bad) };
                format!("{} {}", self.colour.paint(ink, sign), left(&side.words, sides - 2))
            }
        };
        let name = left(&fit(&escape(&row.command), names), names);
        let change = match (row.fixed.len(), row.broke.len()) {
            (0, 0) => String::new(),
            (fixed, broke) => format!("  fixed {fixed}, broke {broke}"),
        };
        let (before, after) = (side(row.before.as_ref()), side(row.after.as_ref()));
        format!("  {name}  {before}  {after}{change}").trim_end().to_owned()
    }

    fn changes(&self) -> Vec<String> {
        let Some(DiffStat { files }) = self.view.stat() else { return Vec::new() };
        let (added, removed) = files.iter().fold((0, 0), |(a, r), file| (a + file.1, r + file.2));
        let all = format!("  {}, +{added} −{removed}", count(files.len(), "file"));
        let mut lines =
            vec![self.colour.paint(Ink::Strong, "Changes") + &self.colour.paint(Ink::Faint, &all)];
        lines.extend(self.told());
        let paths = files.iter().take(FILES).map(|file| width(&escape(&file.0))).max();
        let paths = paths.unwrap_or(0).min(self.room - 40);
        let most = files.iter().map(|file| file.1 + file.2).max().unwrap_or(0);
        for (path, added, removed) in files.iter().take(FILES) {
            let path = left(&fit(&escape(path), paths), paths);
            let numbers = right(&format!("+{added}"), 7) + &right(&format!("−{removed}"), 7);
            let signs = self.signs(*added, *removed, most);
            lines.push(format!("  {path}{numbers}  {signs}").trim_end().to_owned());
        }
        if files.len() > FILES {
            lines.push(format!("  and {} more", files.len() - FILES));
        }
        let left_out = self.view.work.as_ref().map_or(&[][..], |work| &work.left_out);
        if !left_out.is_empty() {
            let text = format!("  left out, as programs leave it behind: {}", some(left_out, 3));
            lines.push(self.colour.paint(Ink::Faint, &fit(&text, self.room)));
        }
        lines
    }

    /// Returns where the work edits or deletes tests, which may be why they pass.
    fn touched(&self) -> Vec<String> {
        let touched = self.view.work.as_ref().map_or(&[][..], |work| &work.tests_touched);
        if touched.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![self.colour.paint(Ink::Warn, "Existing tests are changed")];
        let named = touched.iter().take(FILES);
        lines.extend(named.map(|line| format!("  {}", fit(&escape(line), self.room - 2))));
        if touched.len() > FILES {
            lines.push(format!("  and {} more", touched.len() - FILES));
        }
        lines
    }

    /// Returns what the writer says about its work.
    fn told(&self) -> Vec<String> {
        let writers = self
            .view
            .nodes
            .iter()
            .rev()
            .filter(|node| node.phase == Some(Phase::Implementation) && node.failure.is_none());
        writers.take(1).flat_map(|node| wrap(&fit(&node.summary, TOLD), self.room)).collect()
    }

    /// Returns plus and minus signs, as many as there are lines or, for many, in proportion.
    fn signs(&self, added: u64, removed: u64, most: u64) -> String {
        let scaled = |n: u64| match n {
            0 => 0,
            _ if most <= SIGNS => n,
            _ => (n * SIGNS / most).max(1),
        };
        let plus = "+".repeat(usize::try_from(scaled(added)).unwrap_or(0));
        let minus = "-".repeat(usize::try_from(scaled(removed)).unwrap_or(0));
        self.colour.paint(Ink::Good, &plus) + &self.colour.paint(Ink::Bad, &minus)
    }

    /// Returns what was stopped, asked, reached and left alone.
    fn audit(&self) -> Vec<String> {
        let lines = self.view.audit.lines();
        let mut all = Vec::new();
        all.extend((!lines.is_empty()).then(|| self.colour.paint(Ink::Strong, "Safety")));
        for (name, words) in lines {
            for (n, line) in wrap(&words, self.room - 10).iter().enumerate() {
                let name = if n == 0 { name } else { "" };
                let line = line.trim_start();
                all.push(format!("  {}  {line}", self.colour.paint(Ink::Faint, &left(name, 8))));
            }
        }
        all
    }

    fn next(&self) -> Vec<String> {
        let commands = next::commands(self.view).into_iter().map(|(what, command)| {
            format!("  {}  {command}", self.colour.paint(Ink::Faint, &left(what, 8)))
        });
        let mut lines: Vec<_> = commands.collect();
        if !lines.is_empty() {
            lines.insert(0, self.colour.paint(Ink::Strong, "Next"));
        }
        lines
    }

    fn run(&self) -> String {
        self.view.run.as_ref().map(|run| escape(run.as_str())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{
            event::What,
            ids::{AgentId, CallId},
            task_list::{Change, TaskChanged},
        },
        ui::fixture::{self, Tale, oid},
    };

    fn page(tale: &Tale) -> String {
        render(&View::of(&tale.events), 90, Colour::Never)
    }

    #[test]
    fn a_landed_run() {
        insta::assert_snapshot!(page(&fixture::landed("anthropic/some-model")), @r#"
        ✓ landed  the-median-of-an-even-list-is-wrong
        ──────────────────────────────────────────────────────────────────────────────────────────
          resolve · anthropic/some-model · base bbbbbbbbbb · run 1122-1741-9f3a
          24s · 5 turns · 81.4k tokens · $0.2222

        Graph                               time  turns   tokens      cost
          ├─ research
          │  ├─ ✓ research.0                8.2s      2    23.1k   $0.0510  ━━━━╸
          │  └─ ↺ research.1              reused
          ├─ synthesis
          │  └─ ✓ synthesize                4.2s      1    16.5k   $0.0400  ━━━╸
          ├─ implementation
          │  └─ ✓ implement (2 attempts)    8.4s      2    41.8k   $0.1312  ━━━━━━━━━━━━
          ├─ verification
          │  └─ ✓ checks (2 attempts)       2.3s
          │       attempt 1: median::even still fails
          └─ skipped
             └─ – review.0                skipped: reviews > 0

        Checks        before                after
          cargo test  ✗ 1 failed, 1 passed  ✓ 2 passed            fixed 1, broke 0
        Verdict  green, fixed: median::even

        Changes  2 files, +14 −3
          mended
          src/median.rs              +12     −3  ++++++++++++---
          tests/\u{202e}median.rs     +2     −0  ++

        Next
          merge     git merge grafter/1122-1741-9f3a/landed
          look      git diff bbbbbbbbbb..cccccccccc
          undo      grafter undo 1122-1741-9f3a
        "#);
    }

    #[test]
    fn a_stopped_run_says_how_to_go_on_and_where_its_work_is() {
        insta::assert_snapshot!(page(&fixture::stopped()), @"
        ◼ budget reached  the-median-of-an-even-list-is-wrong
        ──────────────────────────────────────────────────────────────────────────────────────────
          the budget of 2 turns is used up
          resolve · local/qwen · base bbbbbbbbbb · run 1122-1741-9f3a
          8.2s · 2 turns · 1.7k tokens · resumed once

          ! no git identity is set: grafter <grafter@localhost> is used

        Graph                       time  turns   tokens      cost
          └─ implementation
             └─ ✗ implement         8.2s      2     1.7k            ━━━━━━━━━━━━
                  the budget of 2 turns is used up

        Next
          go on     grafter resume 1122-1741-9f3a
          rescue    grafter rescue 1122-1741-9f3a
          log       grafter logs 1122-1741-9f3a --agent implement
        ");
    }

    #[test]
    fn unlanded_work_on_a_branch_with_an_odd_name() {
        let mut tale = Tale::new("gold:fix.patch");
        let (commit, branch) = (oid('a'), "grafter/x/it's $HOME".to_owned());
        let files = (0..14).map(|i| (format!("f{i}"), i * 100, 1)).collect();
        let (stat, tests_touched) = (DiffStat { files }, vec!["tests/f9.rs: deleted".to_owned()]);
        let left_out = ["a.o", "b.o", "lib/__pycache__/", "target/"].map(str::to_owned).to_vec();
        tale.add("", 1, What::CommitMade { commit, branch, stat, tests_touched, left_out });
        let paths = vec!["src/a.rs".to_owned()];
        tale.add("", 1, What::CandidateConflict { paths, tip: oid('e') });
        tale.end(RunEnd::Conflict("main has changed the same lines".to_owned()));
        insta::assert_snapshot!(page(&tale), @r#"
        ✗ merge conflict  the-median-of-an-even-list-is-wrong
        ──────────────────────────────────────────────────────────────────────────────────────────
          main has changed the same lines
          resolve · gold:fix.patch · base bbbbbbbbbb · run 1122-1741-9f3a
          0.0s · 0 turns · 0 tokens

          ! gold model: answers were made from a patch, no model was asked

        Does not merge
          src/a.rs

        Changes  14 files, +9100 −14
          f0      +0     −1  -
          f1    +100     −1  +-
          f2    +200     −1  +++-
          f3    +300     −1  ++++-
          f4    +400     −1  ++++++-
          f5    +500     −1  +++++++-
          f6    +600     −1  +++++++++-
          f7    +700     −1  ++++++++++-
          f8    +800     −1  ++++++++++++-
          f9    +900     −1  +++++++++++++-
          f10  +1000     −1  +++++++++++++++-
          f11  +1100     −1  ++++++++++++++++-
          and 2 more
          left out, as programs leave it behind: a.o, b.o, lib/__pycache__/ and 1 more

        Existing tests are changed
          tests/f9.rs: deleted

        Next
          look      git diff bbbbbbbbbb..aaaaaaaaaa
          take it   git merge 'grafter/x/it'\''s $HOME'
          log       grafter logs 1122-1741-9f3a
        "#);
    }

    #[test]
    fn colours_add_nothing_but_colour_and_lines_fit_the_terminal() {
        let view = View::of(&fixture::landed("scripted:demo.yaml").events);
        let mut plain = render(&view, 80, Colour::Always);
        for code in ["0", "1", "2", "31", "32", "33"] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(plain, render(&view, 80, Colour::Never));
        assert!(
            plain.contains("scripted model: answers were played from a file, no model was asked")
        );
        for line in plain.lines() {
            assert!(width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn of_a_long_list_of_tasks_the_first_are_shown() {
        let mut view = View::default();
        for id in 1..=40 {
            let change = Change::Added { text: format!("count file {id}") };
            let call = CallId::new(format!("{id}"));
            let changed = TaskChanged { id, call, change };
            let mut event = fixture::landed("scripted:demo.yaml").events[0].clone();
            event.agent = Some(AgentId::new("look@1"));
            event.what = What::TaskChanged(changed);
            view.apply(&event);
        }
        let page = render(&view, 80, Colour::Never);
        assert!(page.contains("30  count file 30\n  and 10 more"), "{page}");
    }

    #[test]
    fn an_empty_run_is_a_page_too() {
        let page = render(&View::default(), 0, Colour::Never);
        assert!(page.starts_with("◼ interrupted") && !page.contains("Next"));
    }
}
