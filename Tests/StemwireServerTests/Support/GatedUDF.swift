import StemwireSystem
import StemwireUDF
import Synchronization
import Testing

/// A UDF that stops at a gate with its first frame, as one that is far too slow, and one that always fails.
struct GatedUDF: FrameUDF {
    static let name = "gated"

    /// Shut until it is opened; then it stays open.
    final class Gate: Sendable {
        private let hasArrived = Atomic<Bool>(false)
        private let isOpen = Atomic<Bool>(false)
        private let semaphore = CountingSemaphore()

        func pass() {
            hasArrived.store(true, ordering: .releasing)
            if !isOpen.load(ordering: .acquiring) { _ = semaphore.wait(timeout: .seconds(120)) }
        }

        func open() {
            isOpen.store(true, ordering: .releasing)
            semaphore.post()
        }

        var isReached: Bool { hasArrived.load(ordering: .acquiring) }
    }

    /// Of the one test that uses it at a time.
    static let gates = Locked<[UInt64: Gate]>([:])

    struct Parameters: UDFParameters {
        var gate: UInt64 = 0
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .uint64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        Self.gates.withLock { $0[parameters.gate] }?.pass()
        try context.buffer("intensity", as: UInt64.self)[0] = 1
    }
}

struct FailingUDF: FrameUDF {
    static let name = "failing"

    init(parameters: NoParameters, meta: UDFMeta) {}

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .uint64)] }

    func process(_ frame: Frame, _ context: Context) throws { throw UDFFailure("it always fails") }
}

/// The built-in UDFs and those of these tests.
let testRegistry: UDFRegistry = {
    var registry = UDFRegistry.builtIn
    // Their names are not taken.
    try! registry.add(GatedUDF.self)
    try! registry.add(FailingUDF.self)
    try! registry.add(SlowUDF.self)
    return registry
}()
