//! Which host functions are journaled. Numbers are part of the format and never reused.

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// A journaled host function.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Function { $($(#[$doc])* $variant = $number,)* }

        impl Function {
            /// What the guest called, as WIT names it.
            pub const fn name(self) -> &'static str {
                match self { $(Function::$variant => $name,)* }
            }

            /// The function of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Function::$variant),)* _ => None }
            }

            /// The function with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Function::$variant),)* _ => None }
            }
        }
    };
}

functions! {
    /// The wall clock.
    WallNow = 1, "wasi:clocks/wall-clock.now";
    /// The monotonic clock, in nanoseconds since the guest was called.
    MonotonicNow = 2, "wasi:clocks/monotonic-clock.now";
    /// A timer; the argument is its duration in nanoseconds.
    SubscribeDuration = 3, "wasi:clocks/monotonic-clock.subscribe-duration";
    /// A timer; the argument is its moment.
    SubscribeInstant = 4, "wasi:clocks/monotonic-clock.subscribe-instant";
    /// Random bytes; the argument is their number. The bytes follow from the seed.
    RandomBytes = 5, "wasi:random/random.get-random-bytes";
    /// A random number. It follows from the seed.
    RandomNumber = 6, "wasi:random/random.get-random-u64";
    /// Insecure random bytes.
    InsecureBytes = 7, "wasi:random/insecure.get-insecure-random-bytes";
    /// An insecure random number.
    InsecureNumber = 8, "wasi:random/insecure.get-insecure-random-u64";
    /// The seed of hash maps.
    InsecureSeed = 9, "wasi:random/insecure-seed.insecure-seed";
    /// Which of several things are ready; the argument is how many were asked for.
    Poll = 10, "wasi:io/poll.poll";
    /// Whether one thing is ready.
    PollableReady = 11, "wasi:io/poll.pollable.ready";
    /// Waiting for one thing.
    PollableBlock = 12, "wasi:io/poll.pollable.block";
    /// Reading what is there; the argument is the stream and the most bytes wanted.
    Read = 13, "wasi:io/streams.input-stream.read";
    /// Waiting for bytes and reading them.
    BlockingRead = 14, "wasi:io/streams.input-stream.blocking-read";
    /// How much may be written.
    CheckWrite = 15, "wasi:io/streams.output-stream.check-write";
    /// Writing; the argument is a hash of stream and bytes.
    Write = 16, "wasi:io/streams.output-stream.write";
    /// Flushing.
    Flush = 17, "wasi:io/streams.output-stream.flush";
    /// Writing and waiting until it is taken.
    BlockingWrite = 18, "wasi:io/streams.output-stream.blocking-write-and-flush";
    /// Waiting until something may be written.
    WriteReady = 19, "wasi:io/streams.output-stream.blocking-flush";
    /// Sending an HTTP request; the argument is a hash of method, URI and headers.
    HttpHandle = 20, "wasi:http/outgoing-handler.handle";
    /// The response's head.
    HttpResponse = 21, "wasi:http/types.future-incoming-response.get";
    /// Trailers of a body.
    HttpTrailers = 22, "wasi:http/types.future-trailers.get";
    /// The end of a body that the guest wrote.
    HttpFinish = 23, "wasi:http/types.outgoing-body.finish";
    /// The guest's answer; the argument is a hash of status and headers.
    HttpRespond = 24, "wasi:http/types.response-outparam.set";
    /// Events emitted while running.
    Emit = 25, "nexus:function/events.emit";
    /// Memory growth that was refused; the argument is the wanted size in bytes.
    GrowRefused = 26, "memory.grow";
    /// Table growth that was refused; the argument is the wanted number of elements.
    TableRefused = 27, "table.grow";
    // From here on: journals of version 2.
    /// When it is stopped, in a durable function: it moves while the function sleeps.
    Deadline = 28, "nexus:function/context.deadline-ms";
    /// How far it is.
    Progress = 29, "nexus:function/context.progress";
    /// Beginning to sleep; the argument is the duration in milliseconds, the outcome the moment of
    /// the end.
    Sleep = 30, "nexus:function/durable.sleep";
    /// The end of a sleep.
    Woken = 31, "nexus:function/durable.sleep (end)";
    /// Beginning to wait for a signal; the outcome is the moment of the timeout, if there is one.
    WaitSignal = 32, "nexus:function/durable.wait-signal";
    /// A signal, or the timeout.
    Signal = 33, "nexus:function/durable.wait-signal (end)";
    /// A call of another function.
    Invoke = 34, "nexus:function/calls.invoke";
    /// Calls of several functions at the same time.
    InvokeAll = 35, "nexus:function/calls.invoke-all";
    /// An invocation that nobody waits for.
    Start = 36, "nexus:function/calls.start";
    /// What became of it.
    CallOutcome = 37, "nexus:function/calls.outcome";
    /// Reading a key.
    StateGet = 38, "nexus:function/state.get";
    /// Writing a key.
    StatePut = 39, "nexus:function/state.put";
    /// Deleting a key.
    StateDelete = 40, "nexus:function/state.delete";
    /// Reading keys in their order.
    StateScan = 41, "nexus:function/state.scan";
    /// Appending to a stream.
    StreamAppend = 42, "nexus:function/state.append";
    /// Reading a stream.
    StreamRead = 43, "nexus:function/state.read";
}

impl Function {
    /// Whether the arguments are kept as a hash (otherwise as a small number).
    pub const fn hashes_arguments(self) -> bool {
        matches!(
            self,
            Function::Write
                | Function::BlockingWrite
                | Function::HttpHandle
                | Function::HttpRespond
                | Function::HttpFinish
                | Function::Emit
                | Function::Progress
                | Function::WaitSignal
        ) || self.is_call()
            || self.is_state()
    }

    /// Whether a text for people follows the arguments (`GET http://…`).
    pub const fn is_described(self) -> bool {
        matches!(
            self,
            Function::HttpHandle
                | Function::HttpRespond
                | Function::Progress
                | Function::WaitSignal
        ) || self.is_call()
            || self.is_state()
    }

    const fn is_call(self) -> bool {
        matches!(
            self,
            Function::Invoke | Function::InvokeAll | Function::Start | Function::CallOutcome
        )
    }

    const fn is_state(self) -> bool {
        matches!(
            self,
            Function::StateGet
                | Function::StatePut
                | Function::StateDelete
                | Function::StateScan
                | Function::StreamAppend
                | Function::StreamRead
        )
    }
}
