import StemwireSystem
import Synchronization

/// Runs `body`, which may block, on a thread of its own, so that Swift's cooperative pool is not held up.
func onThread<Value: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws(RunError) -> Value
) async throws(RunError) -> Value {
    let result: Result<Value, RunError> = await withCheckedContinuation { continuation in
        do throws(SystemError) {
            _ = try NamedThread(name) {
                do throws(RunError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        } catch {
            continuation.resume(returning: .failure(.failed(error.description)))
        }
    }
    return try result.get()
}

/// A flag that is set once, such as by a task's cancellation.
final class CancellationFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    func set() { flag.store(true, ordering: .releasing) }
    var isSet: Bool { flag.load(ordering: .acquiring) }
}
