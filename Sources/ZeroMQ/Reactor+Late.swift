import Glibc

extension Reactor {
    /// Runs what was enqueued after the stop on a thread of its own, which ends when nothing is left.
    ///
    /// Not on the caller's thread: it may hold a lock or be in the middle of another actor's job.
    func startLateThread() {
        let argument = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Reactor>.fromOpaque(argument!).takeRetainedValue().runLate()
                return nil
            }, argument.toOpaque())
        guard failure == 0 else {
            argument.release()
            return runLate()
        }
        pthread_detach(thread)
    }

    private func runLate() {
        while performLate() {}
    }

    /// Runs what has come; false, and no longer this thread's business, when that was nothing.
    private func performLate() -> Bool {
        let work = inbox.withLock { inbox in
            let work = inbox.work
            inbox.work.removeAll()
            if work.isEmpty {
                inbox.hasLateThread = false
                owner.store(0, ordering: .relaxed)
            } else {
                owner.store(UInt(pthread_self()), ordering: .relaxed)
            }
            return work
        }
        for item in work { perform(item) }
        return !work.isEmpty
    }
}
