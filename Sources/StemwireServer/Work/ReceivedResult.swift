import StemwireKernels
import StemwireProtocol
import StemwireUDF
import ZeroMQ

extension ActiveRun {
    /// Merges a partition's result that a worker has sent. Any thread.
    ///
    /// - Returns: what is wrong with it; nothing has changed then.
    func merge(
        _ wire: WireWorkResult, _ payload: [ReceivedPart], plan: RunPlan, from worker: String
    ) -> UDFError? {
        do throws(UDFError) {
            let result = try PartitionResult(wire, payload, plan: plan)
            if let failure = merge(result) { return failure }
            note(contributor: worker)
            return nil
        } catch {
            return error
        }
    }
}

extension PartitionResult {
    /// Reads a result; all is checked against the plan before memory is taken for it.
    init(_ wire: WireWorkResult, _ payload: [ReceivedPart], plan: RunPlan) throws(UDFError) {
        let partition = Int(wire.item.partition)
        func fault(_ reason: String) -> UDFError { UDFError(.badResult, partition: partition, reason) }
        var sections: [Section] = []
        var checksums: [UInt64] = []
        for section in wire.sections {
            var positions: [Range<Int>] = []
            for range in section.positions {
                guard range.count > 0, range.first <= UInt64(Int.max) / 2, range.count <= UInt64(Int.max) / 2 else {
                    throw fault("a range of \(range.count) positions from \(range.first) on")
                }
                positions.append(Int(range.first)..<Int(range.first + range.count))
            }
            var buffers: [BufferHeader] = []
            for buffer in section.buffers {
                guard let dtype = DType(rawValue: buffer.dtype) else {
                    throw fault("the buffer \(buffer.name) has the unknown dtype \"\(buffer.dtype)\"")
                }
                buffers.append(BufferHeader(name: buffer.name, dtype: dtype, shape: buffer.shape.map { Int($0) }))
                checksums.append(buffer.checksum)
            }
            sections.append(
                Section(udf: section.udf, contentHash: section.contentHash, positions: positions, buffers: buffers))
        }
        guard checksums.count == payload.count else {
            throw fault("\(payload.count) payload parts for \(checksums.count) buffers")
        }
        // The parts keep their bytes where they are for as long as they live.
        defer { withExtendedLifetime(payload) {} }
        let bytes = payload.map { part in part.withUnsafeBytes { $0 } }
        for (bytes, checksum) in zip(bytes, checksums) where checksum != 0 && Checksum.xxh3(bytes) != checksum {
            throw fault("the bytes of a buffer changed on the way: the checksum does not fit")
        }
        try self.init(
            plan: plan, partition: partition, generation: wire.parameterGeneration, isFinal: true, sections: sections,
            payloads: bytes)
    }
}
