import CStemwireSystem
import Glibc

/// Hears of signals to the process, such as SIGINT, on a thread of its own.
///
/// From the moment that the initialiser returns, no signal is lost. The second arrival of a signal has its default action
/// again, which ends the process: should an orderly end take too long. One watch at a time in a process.
public final class SignalWatch: Sendable {
    private let signals: [Int32]
    private let readEnd: Int32
    private let writeEnd: Int32
    private let thread: NamedThread

    /// - Parameter onSignal: called on the watch's thread with the signal's number.
    /// - Throws: `SystemError` when the system has no pipe or no thread to give.
    public init(_ signals: [Int32], onSignal: @escaping @Sendable (Int32) -> Void) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError(operation: "open a pipe for signals") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (readEnd, writeEnd) = (ends[0], ends[1])
        self.signals = signals
        (self.readEnd, self.writeEnd) = (readEnd, writeEnd)
        thread = try NamedThread("signals") {
            var byte: UInt8 = 0
            while true {
                let count = read(readEnd, &byte, 1)
                if count < 0, errno == EINTR { continue }
                guard count == 1, byte != 0 else { return }
                onSignal(Int32(byte))
            }
        }
        for signal in signals { _ = stemwire_catch_signal(signal, writeEnd) }
    }

    /// Hears no more; the signals have their default action again. Waits for the thread, so not to be called by `onSignal`.
    public func end() {
        for number in signals { signal(number, SIG_DFL) }
        var none: UInt8 = 0
        _ = write(writeEnd, &none, 1)
        thread.join()
        close(readEnd)
        close(writeEnd)
    }
}
