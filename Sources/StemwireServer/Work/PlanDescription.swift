import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireUDF

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
        var payload: [ResultArray] = []
        func add(_ array: ResultArray, purpose: String, udf: String = "", name: String = "") {
            wire.arrays.append(WireArrayHeader(array, purpose: purpose, udf: udf, name: name))
            payload.append(array)
        }
        if let roi {
            let bitmap = roi.bitmap
            add(ResultArray(bitmap, shape: [bitmap.count]), purpose: "roi")
        }
        if let corrections, !corrections.isEmpty {
            if let dark = corrections.dark { add(dark, purpose: "dark") }
            if let gain = corrections.gain { add(gain, purpose: "gain") }
            if let excluded = corrections.excluded { add(excluded.array, purpose: "excluded") }
            wire.keepsIsolatedPixels = corrections.keepsIsolatedPixels
        }
        for request in requests {
            for (name, array) in request.auxiliary.sorted(by: { $0.key < $1.key }) {
                add(array, purpose: "auxiliary", udf: request.id, name: name)
            }
        }
        return (wire, payload)
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

    /// Whether only threads of the server can do it. No worker offers a UDF without a name.
    var needsServer: Bool { plan.udfs.contains { $0.udf.needsOneProcess } }
}

extension WireArrayHeader {
    init(_ array: ResultArray, purpose: String, udf: String = "", name: String = "") {
        self.init()
        self.purpose = purpose
        self.udf = udf
        self.name = name
        dtype = array.dtype.rawValue
        shape = array.shape.map { UInt32(clamping: $0) }
        checksum = array.withUnsafeBytes { Checksum.xxh3($0) }
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
