import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire

/// A plan as a worker is told of it.
struct PlanMessage {
    let number: UInt32
    let run: String
    let description: AcquisitionDescription
    let requests: [UDFRequest]
    let roi: PositionSet?
    let corrections: Corrections?
    let generation: UInt32

    /// The message and its payload parts.
    func wire() -> (message: WireWorkPlan, payload: [ResultArray]) {
        var wire = WireWorkPlan()
        wire.plan = number
        wire.run = run
        wire.start = WireStart(description)
        wire.udfs = requests.map { WireUdfRequest($0) }
        wire.parameterGeneration = generation
        let arrays = RunArrays(roi: roi?.bitmap, corrections: corrections, requests: requests)
        wire.arrays = arrays.headers
        wire.keepsIsolatedPixels = corrections?.keepsIsolatedPixels ?? false
        return (wire, arrays.payload)
    }
}

extension DispatchedPlan {
    var message: PlanMessage {
        PlanMessage(
            number: number, run: run.name, description: description, requests: plan.udfs.map(\.request),
            roi: plan.meta.roi, corrections: plan.corrections, generation: plan.generation)
    }

    /// What a worker must have to do it.
    var needs: Set<UDFKey> {
        var needs = Set(plan.udfs.map { UDFKey(name: $0.name, contentHash: UInt64(clamping: $0.version)) })
        if needsServer { needs.insert(UDFKey(name: "", contentHash: 0)) }
        return needs
    }
}

extension WireWorkItem {
    init(_ item: WorkItem, _ attempt: UInt32) {
        self.init()
        plan = item.run
        partition = UInt32(clamping: item.partition)
        self.attempt = attempt
    }
}
