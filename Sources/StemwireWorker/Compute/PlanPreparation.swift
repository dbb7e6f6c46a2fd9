import MerlinProtocol
import StemwireKernels
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// Makes a run's plan of what the server says.
enum PlanPreparation {
    /// - Returns: the plan, nil when it cannot be done here; and the answer to the server, which then says why.
    static func prepare(
        _ wire: WireWorkPlan, parts: [ReceivedPart], registry: UDFRegistry
    ) -> (RunPlan?, WirePlanned) {
        var answer = WirePlanned()
        answer.plan = wire.plan
        do {
            let plan = try makePlan(wire, parts: parts, registry: registry)
            answer.udfs = plan.udfs.map(WirePlannedUdf.init)
            return (plan, answer)
        } catch {
            answer.failure = "\(error)"
            return (nil, answer)
        }
    }

    private static func makePlan(
        _ wire: WireWorkPlan, parts: [ReceivedPart], registry: UDFRegistry
    ) throws -> RunPlan {
        guard (1...WireLimits.udfsPerRun).contains(wire.udfs.count) else {
            throw ReceivedArrayError("\(wire.udfs.count) UDFs in a plan; 1 to \(WireLimits.udfsPerRun) are possible")
        }
        let format = wire.start.format
        guard format.sigShape.count == 2, format.sigShape.allSatisfy({ (1...65536).contains($0) }),
            let dtype = DType(rawValue: format.dtype)
        else {
            throw ReceivedArrayError("the plan does not say what frames are like: \(format.sigShape) \(format.dtype)")
        }
        let navShape = wire.start.navShape.map(Int.init)
        let sigShape = SigShape(height: Int(format.sigShape[0]), width: Int(format.sigShape[1]))
        let framesPerPartition = Int(wire.start.framesPerPartition)
        // Checks the shapes, so that the arrays can be read by them.
        let whole = try UDFMeta(
            navShape: navShape, sigShape: sigShape, inputDType: dtype, framesPerPartition: framesPerPartition)
        var arrays = try ReceivedArrays(wire.arrays, parts: parts)
        var roi: PositionSet?
        var corrections = Corrections()
        var requests = wire.udfs.map { UDFRequest($0) }
        while let next = arrays.next {
            switch ArrayPurpose(rawValue: next.purpose) {
            case .roi:
                roi = try arrays.takePositions(size: whole.positionCount)
            case .dark: corrections.dark = try arrays.takeArray()
            case .gain: corrections.gain = try arrays.takeArray()
            case .excluded: corrections.excluded = try ExcludedPixels(array: arrays.takeArray())
            case .auxiliary:
                guard let index = requests.firstIndex(where: { $0.id == next.udf }) else {
                    throw ReceivedArrayError("auxiliary data for \"\(next.udf)\", which the plan does not have")
                }
                requests[index].auxiliary[next.name] = try arrays.takeArray()
            case .buffer, nil:
                // Leaving it out would give other results.
                throw ReceivedArrayError(
                    "the worker does not know what to do with \"\(next.purpose)\" arrays; update the worker")
            }
        }
        corrections.keepsIsolatedPixels = wire.keepsIsolatedPixels
        let meta = try UDFMeta(
            navShape: navShape, sigShape: sigShape, inputDType: dtype, framesPerPartition: framesPerPartition, roi: roi)
        return try RunPlan(
            requests, registry: registry, meta: meta, corrections: corrections.isEmpty ? nil : corrections,
            generation: wire.parameterGeneration)
    }
}
