//! Where proving and key generation are: stages as they begin and end, told to whoever listens on the calling thread.
//!
//! Nothing is measured or allocated where nobody listens.

use std::cell::RefCell;

use serde::Serialize;

/// What takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the setup's powers from the proving key.
    Loading,
    /// Running the integer model.
    Witness,
    /// Laying the model out in rows.
    LayingOut,
    /// FFTs.
    Transforms,
    /// The permutation's running product.
    Product,
    /// All constraints in all rows of the extended domain.
    Quotient,
    /// Multi-scalar multiplications.
    Commitments,
    /// Evaluations, linearisation and polynomials of the opening.
    Opening,
    /// Verifying the proof that was made.
    Verifying,
}

impl Stage {
    pub const ALL: [Self; 9] = [
        Self::Loading,
        Self::Witness,
        Self::LayingOut,
        Self::Transforms,
        Self::Product,
        Self::Quotient,
        Self::Commitments,
        Self::Opening,
        Self::Verifying,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "key loading",
            Self::Witness => "witness",
            Self::LayingOut => "layout",
            Self::Transforms => "FFTs",
            Self::Product => "running product",
            Self::Quotient => "quotient",
            Self::Commitments => "commitments",
            Self::Opening => "opening",
            Self::Verifying => "verifying",
        }
    }
}

/// What a listener is told. Stages nest; what begins ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The stages whose ends are to come, in their order, among others that are not worth counting; and what each takes, in
    /// units that only compare them.
    Expect(Vec<(Stage, f64)>),
    Begin(Stage),
    End(Stage),
}

type Listener = Box<dyn FnMut(Event)>;

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

/// Tells the listener, if there is one. One that is being told already is not told of what it does itself.
fn tell(event: impl FnOnce() -> Event) {
    LISTENER.with(|cell| {
        if let Ok(mut listener) = cell.try_borrow_mut()
            && let Some(listener) = listener.as_mut()
        {
            listener(event());
        }
    });
}

/// Does some work while `listener` is told of its stages, in place of whoever listened before.
pub fn observed<T>(listener: impl FnMut(Event) + 'static, work: impl FnOnce() -> T) -> T {
    /// Puts the listener back, also where the work panics.
    struct Restore(Option<Listener>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            LISTENER.with(|cell| cell.replace(before));
        }
    }
    let _restore = Restore(LISTENER.with(|cell| cell.replace(Some(Box::new(listener)))));
    work()
}

/// Says what is to come.
pub fn expect(stages: impl FnOnce() -> Vec<(Stage, f64)>) {
    tell(|| Event::Expect(stages()));
}

/// Begins a stage that ends when the guard is dropped.
#[must_use = "the stage ends when the guard is dropped"]
pub fn enter(stage: Stage) -> Guard {
    tell(|| Event::Begin(stage));
    Guard { stage }
}

/// A stage that has begun.
#[derive(Debug)]
pub struct Guard {
    stage: Stage,
}

impl Drop for Guard {
    fn drop(&mut self) {
        tell(|| Event::End(self.stage));
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[test]
    fn listeners_hear_what_happens_on_their_thread_while_they_listen() {
        let heard = Rc::new(RefCell::new(vec![]));
        let listener = |name: &'static str| {
            let heard = heard.clone();
            move |event| heard.borrow_mut().push((name, event))
        };
        drop(enter(Stage::Opening));
        observed(listener("outer"), || {
            let _outer = enter(Stage::Quotient);
            observed(listener("inner"), || drop(enter(Stage::Transforms)));
            std::thread::spawn(|| drop(enter(Stage::Opening))).join().unwrap();
            expect(|| vec![(Stage::Opening, 1.0)]);
        });
        drop(enter(Stage::Opening));
        let expected = [
            ("outer", Event::Begin(Stage::Quotient)),
            ("inner", Event::Begin(Stage::Transforms)),
            ("inner", Event::End(Stage::Transforms)),
            ("outer", Event::Expect(vec![(Stage::Opening, 1.0)])),
            ("outer", Event::End(Stage::Quotient)),
        ];
        assert_eq!(*heard.borrow(), expected);
    }

    #[test]
    fn a_listener_may_pass_stages_itself() {
        let heard = Rc::new(RefCell::new(0));
        let counter = heard.clone();
        let listener = move |_| {
            *counter.borrow_mut() += 1;
            drop(enter(Stage::Opening));
        };
        observed(listener, || drop(enter(Stage::Quotient)));
        assert_eq!(*heard.borrow(), 2);
    }
}
