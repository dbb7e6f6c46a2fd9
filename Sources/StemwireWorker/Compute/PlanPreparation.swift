import MerlinProtocol
import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire
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
        var requests = wire.udfs.map { UDFRequest($0) }
        let arrays = try ReceivedRunArrays(ReceivedArrays(wire.arrays, parts: parts), requests: &requests)
        var corrections = arrays.corrections
        corrections.keepsIsolatedPixels = wire.keepsIsolatedPixels
        let roi = try arrays.roi.map { bitmap in
            guard let roi = PositionSet(bitmap: bitmap, size: whole.positionCount) else {
                throw ReceivedArrayError(
                    "the region of interest has \(bitmap.count) bytes, not \((whole.positionCount + 7) / 8) for "
                        + "\(whole.positionCount) scan positions, or others")
            }
            return roi
        }
        let meta = try UDFMeta(
            navShape: navShape, sigShape: sigShape, inputDType: dtype, framesPerPartition: framesPerPartition, roi: roi)
        return try RunPlan(
            requests, registry: registry, meta: meta, corrections: corrections.isEmpty ? nil : corrections,
            generation: wire.parameterGeneration)
    }
}
