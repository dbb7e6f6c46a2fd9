import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

/// What is merged for a server that does not have the UDF.
@Suite struct MergeTasksTests {
    @Test func aBitmapIsReadAsItWasWritten() {
        var generator = SystemRandomNumberGenerator()
        for size in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
            var positions = PositionSet(size: size)
            for position in 0..<size where Bool.random(using: &generator) { positions.insert(position..<position + 1) }
            let bitmap = positions.bitmap
            #expect(bitmap.withUnsafeBytes { PositionSet(bitmap: $0, size: size) } == positions)
            #expect(bitmap.withUnsafeBytes { PositionSet(bitmap: $0, size: size + 8) } == nil)
        }
        #expect([UInt8(0xff)].withUnsafeBytes { PositionSet(bitmap: $0, size: 8) }?.isFull == true)
        // A bit behind the last position.
        #expect([UInt8(0x80)].withUnsafeBytes { PositionSet(bitmap: $0, size: 7) } == nil)
    }

    @Test func buffersThatAreNotTheUDFsAreRefused() throws {
        let meta = try UDFMeta(
            navShape: [4], sigShape: SigShape(height: 1, width: 2), inputDType: .uint16, framesPerPartition: 2)
        let plan = try RunPlan([UDFRequest(name: "sum")], meta: meta)
        let sum = ResultArray([UInt64(3), 4], shape: [1, 2])
        let merged = try plan.mergeBuffers(of: "sum", left: [sum], right: [sum])
        #expect(merged.names == ["intensity"])
        #expect(merged.arrays == [ResultArray([UInt64(6), 8], shape: [1, 2])])
        let wrong = [[], [sum, sum], [sum.reshaped([2, 1])], [ResultArray([UInt32(3), 4], shape: [1, 2])]]
        for arrays in wrong {
            #expect(throws: UDFError.self) { try plan.mergeBuffers(of: "sum", left: [sum], right: arrays) }
            #expect(throws: UDFError.self) {
                try plan.computeResults(of: "sum", processed: PositionSet(size: 4), merged: arrays)
            }
        }
        #expect(throws: UDFError.self) { try plan.mergeBuffers(of: "max", left: [sum], right: [sum]) }
        #expect(throws: UDFError.self) {
            try plan.computeResults(of: "sum", processed: PositionSet(size: 5), merged: [sum])
        }
        #expect(try plan.computeResults(of: "sum", processed: PositionSet(size: 4), merged: [sum]).isEmpty)
    }
}
