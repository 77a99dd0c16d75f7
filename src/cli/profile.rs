//! What takes the time of a command, stage by stage.

use std::{cell::RefCell, rc::Rc, time::Instant};

use hallmark::{
    proof::speed::{Time, cpu_seconds},
    stages::{Event, Stage},
};
use serde::Serialize;

use super::output::{Align, grid};

/// Times of the stages; what is in no stage belongs to none.
#[derive(Clone, Debug)]
pub struct Profile {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// The stages that have begun, the innermost last.
    open: Vec<Stage>,
    /// When the last of them began or ended, on both clocks.
    since: (Instant, f64),
    times: Vec<(Option<Stage>, Time)>,
}

/// A stage's time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageTime {
    /// `None` for what is in no stage.
    pub stage: Option<Stage>,
    #[serde(flatten)]
    pub time: Time,
}

impl Default for Profile {
    fn default() -> Self {
        let stages = Stage::ALL.into_iter().map(Some).chain([None]);
        let times = stages.map(|stage| (stage, Time::default())).collect();
        let shared = Shared { open: vec![], since: (Instant::now(), cpu_seconds()), times };
        Self { shared: Rc::new(RefCell::new(shared)) }
    }
}

impl Shared {
    /// What has passed belongs to the innermost stage.
    fn charge(&mut self) {
        let now = (Instant::now(), cpu_seconds());
        let (wall, cpu) = (now.0.duration_since(self.since.0).as_secs_f64(), now.1 - self.since.1);
        let stage = self.open.last().copied();
        if let Some((_, time)) = self.times.iter_mut().find(|(of, _)| *of == stage) {
            *time = *time + Time { wall_seconds: wall, cpu_seconds: cpu };
        }
        self.since = now;
    }
}

impl Profile {
    /// What listens to the stages.
    pub fn listener(&self) -> impl FnMut(&Event) + 'static {
        let shared = self.shared.clone();
        move |event| {
            let mut shared = shared.borrow_mut();
            match event {
                Event::Expect(_) => {}
                Event::Begin(stage) => {
                    shared.charge();
                    shared.open.push(*stage);
                }
                Event::End(_) => {
                    shared.charge();
                    shared.open.pop();
                }
            }
        }
    }

    /// The times up to now, in the order of [`Stage::ALL`], what is in no stage last.
    pub fn stages(&self) -> Vec<StageTime> {
        let mut shared = self.shared.borrow_mut();
        shared.charge();
        shared.times.iter().map(|&(stage, time)| StageTime { stage, time }).collect()
    }
}

/// A line a stage, and their sum.
pub fn table(stages: &[StageTime]) -> String {
    let sum = stages.iter().fold(Time::default(), |sum, stage| sum + stage.time);
    let row = |name: &str, time: Time| {
        let share = 100.0 * time.cpu_seconds / sum.cpu_seconds.max(f64::MIN_POSITIVE);
        let Time { wall_seconds, cpu_seconds } = time;
        vec![name.to_string(), format!("{cpu_seconds:.3}"), format!("{share:.1}%"), format!("{wall_seconds:.3}")]
    };
    let mut rows = vec![["stage", "CPU s", "share", "s"].map(String::from).to_vec()];
    rows.extend(stages.iter().map(|at| row(at.stage.map_or("all else", Stage::name), at.time)));
    rows.push(row("all", sum));
    grid(&rows, &[Align::Left, Align::Right, Align::Right, Align::Right])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_belongs_to_the_innermost_stage() {
        let profile = Profile::default();
        let mut listen = profile.listener();
        let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
        let begin = Instant::now();
        listen(&Event::Begin(Stage::Quotient));
        pause();
        listen(&Event::Begin(Stage::Transforms));
        listen(&Event::Expect(vec![]));
        pause();
        listen(&Event::End(Stage::Transforms));
        pause();
        listen(&Event::End(Stage::Quotient));
        let stages = profile.stages();
        let of = |stage| stages.iter().find(|at| at.stage == stage).unwrap().time.wall_seconds;
        let (inner, outer) = (of(Some(Stage::Transforms)), of(Some(Stage::Quotient)));
        assert!(inner >= 0.02 && outer >= 0.04, "{stages:?}");
        let sum: f64 = stages.iter().map(|at| at.time.wall_seconds).sum();
        assert!(sum <= begin.elapsed().as_secs_f64() + 0.005 && of(Some(Stage::Opening)) == 0.0, "{stages:?}");
        assert!(table(&stages).lines().count() == Stage::ALL.len() + 3);
    }
}
