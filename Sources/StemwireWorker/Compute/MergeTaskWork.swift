import StemwireProtocol
import StemwireUDF
import StemwireWire
import ZeroMQ

/// Merges buffers, or computes results from them, for a server that does not have the UDF.
enum MergeTaskWork {
    static func perform(
        _ task: WireMergeTask, parts: [ReceivedPart], plan: RunPlan?
    ) -> (WireMergeTaskDone, WorkOutput) {
        var answer = WireMergeTaskDone()
        answer.task = task.task
        do {
            guard let plan else { throw ReceivedArrayError("the plan cannot be done here") }
            var arrays = try ReceivedArrays(task.arrays, parts: parts)
            let output =
                switch task.kind {
                case "merge": try merge(task.udf, &arrays, plan, &answer)
                case "results": try computeResults(task.udf, &arrays, plan, &answer)
                default: throw ReceivedArrayError("the worker does not know merge tasks of kind \"\(task.kind)\"")
                }
            return (answer, output)
        } catch {
            answer.failure = "\(error)"
            answer.arrays = []
            return (answer, WorkOutput())
        }
    }

    private static func merge(
        _ udf: String, _ arrays: inout ReceivedArrays, _ plan: RunPlan, _ answer: inout WireMergeTaskDone
    ) throws -> WorkOutput {
        var all: [ResultArray] = []
        while arrays.next != nil { all.append(try arrays.takeArray()) }
        let (names, merged) = try plan.mergeBuffers(
            of: udf, left: Array(all.prefix(all.count / 2)), right: Array(all.suffix(all.count - all.count / 2)))
        answer.arrays = zip(names, merged).map { WireArrayHeader($1, purpose: .buffer, udf: udf, name: $0) }
        return WorkOutput(merged)
    }

    private static func computeResults(
        _ udf: String, _ arrays: inout ReceivedArrays, _ plan: RunPlan, _ answer: inout WireMergeTaskDone
    ) throws -> WorkOutput {
        guard arrays.next?.purpose == ArrayPurpose.roi.rawValue else {
            throw ReceivedArrayError("the positions that were processed come first")
        }
        let processed = try arrays.takePositions(size: plan.meta.positionCount)
        var merged: [ResultArray] = []
        while arrays.next != nil { merged.append(try arrays.takeArray()) }
        var output: [ResultArray] = []
        for result in try plan.computeResults(of: udf, processed: processed, merged: merged) {
            answer.arrays.append(WireArrayHeader(result.array, purpose: .buffer, udf: udf, name: result.name))
            output.append(result.array)
            guard let valid = result.valid else { continue }
            let bitmap = valid.bitmap
            answer.arrays.append(WireArrayHeader(bitmap, udf: udf, name: result.name))
            output.append(ResultArray(bitmap, shape: [bitmap.count]))
        }
        return WorkOutput(output)
    }
}
