import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireUDF

/// The threads that run UDFs.
///
/// Threading: all methods from anywhere; `report` is called on the pool's threads.
final class ComputePool: Sendable {
    private let queue: Locked<ComputeQueue>
    private let wakeUps: [CountingSemaphore]
    private let threads = Locked<[NamedThread]>([])
    let registry: UDFRegistry
    let report: @Sendable (ComputeReport) -> Void

    /// Starts the threads. They end by ``stop()`` only.
    init(
        threads count: Int, registry: UDFRegistry, report: @escaping @Sendable (ComputeReport) -> Void
    ) throws(SystemError) {
        self.registry = registry
        self.report = report
        queue = Locked(ComputeQueue(threads: count))
        wakeUps = (0..<count).map { _ in CountingSemaphore() }
        for index in 0..<count {
            do throws(SystemError) {
                let thread = try NamedThread("compute-\(index)") { [self] in
                    var work = ComputeThread(index: index, pool: self)
                    work.run()
                }
                threads.withLock { $0.append(thread) }
            } catch {
                stop()
                join()
                throw error
            }
        }
    }

    /// Has the threads end, each after what it is doing just now.
    func stop() { change { $0.stop() } }

    /// Waits for the threads, on a thread of its own: what one is doing may take long.
    func ended() async {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                _ = try NamedThread("join") { [self] in
                    join()
                    continuation.resume()
                }
            } catch {
                // They end by themselves.
                continuation.resume()
            }
        }
    }

    private func join() {
        for thread in threads.withLock({ threads in
            defer { threads = [] }
            return threads
        }) { thread.join() }
    }

    /// Changes what there is to do, and wakes who has something to do now.
    func change(_ body: (inout ComputeQueue) -> Void) {
        let woken = queue.withLock { queue in
            body(&queue)
            return queue.takeWoken()
        }
        for thread in woken { wakeUps[thread].post() }
    }

    /// The next thing to do for a thread, which waits for it.
    func next(for thread: Int) -> ComputeQueue.Step {
        while true {
            let step = queue.withLock { $0.next(for: thread) }
            guard case .wait = step else { return step }
            wakeUps[thread].wait()
        }
    }
}
