import StemwireClient
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// The bytes of an array on their way to the server, which reads them where they are.
final class ArrayBytes: Sendable {
    let array: ResultArray

    init(_ array: ResultArray) { self.array = array }
}

/// The payload parts of a result, in order.
struct WorkOutput: Sendable {
    var arrays: [ArrayBytes] = []

    init(_ arrays: [ResultArray] = []) { self.arrays = arrays.map(ArrayBytes.init) }
}

/// What the compute threads tell.
enum ComputeReport: Sendable {
    case planned(Serial, WirePlanned)
    case finished(Serial, WireWorkResult, WorkOutput)
    case failed(Serial, udf: String, String, isUDF: Bool)
    case merged(Serial, WireMergeTaskDone, WorkOutput)
}

/// Something that is neither a partition nor belongs to a thread.
enum ComputeJob: Sendable {
    case prepare(plan: Serial, WireWorkPlan, parts: [ReceivedPart])
    case merge(task: Serial, plan: Serial, WireMergeTask, parts: [ReceivedPart])
}
