import StemwireSystem

/// Gives systemd a sign of life, as often as it wants, for as long as `isAlive` says so.
final class Watchdog: Sendable {
    private let task: Task<Void, Never>?

    init(_ notifier: ServiceNotifier, isAlive: @escaping @Sendable () -> Bool) {
        task = notifier.watchdogInterval.map { interval in
            Task {
                while !Task.isCancelled {
                    if isAlive() { notifier.alive() }
                    try? await Task.sleep(for: interval / 3)
                }
            }
        }
    }

    func end() { task?.cancel() }
}
