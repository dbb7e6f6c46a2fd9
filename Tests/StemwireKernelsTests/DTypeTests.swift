import StemwireKernels
import Testing

@Suite struct DTypeTests {
    @Test(arguments: DType.allCases)
    func numpyDescriptionsReadBack(_ dtype: DType) {
        #expect(DType(numpyDescription: dtype.numpyDescription) == dtype)
        let digits = dtype.numpyDescription.dropFirst(2)
        #expect(Int(digits) == dtype.byteCount)
    }

    @Test func byteOrderMattersForMoreThanOneByte() {
        #expect(DType(numpyDescription: "<u1") == .uint8)
        #expect(DType(numpyDescription: ">b1") == .bool)
        #expect(DType(numpyDescription: ">u2") == nil)
        #expect(DType(numpyDescription: "u2") == nil)
        #expect(DType(numpyDescription: "<i2") == nil)
        #expect(DType(numpyDescription: "xu1") == nil)
        #expect(DType(numpyDescription: "") == nil)
    }
}

@Suite struct PixelEncodingTests {
    @Test func boundsOfSumsIn32Bits() {
        #expect(PixelEncoding.uint8.framesPerUInt32Sum == 16_843_009)
        #expect(PixelEncoding.uint16BigEndian.framesPerUInt32Sum == 65_537)
        #expect(PixelEncoding.uint32.framesPerUInt32Sum == 1)
        #expect(PixelEncoding.uint64BigEndian.framesPerUInt32Sum == 0)
    }

    /// At the documented bound a sum is still right, one frame later it is not.
    @Test func theBoundFor16BitsIsTight() {
        var pixel = UInt16.max
        var sums: [UInt32] = [0]
        withUnsafeBytes(of: &pixel) { bytes in
            let frames = PixelEncoding.uint16.framesPerUInt32Sum
            var stack = PixelStack(
                base: bytes.baseAddress!, stride: 0, frameCount: frames, pixelCount: 1, encoding: .uint16)
            sums.withUnsafeMutableBufferPointer { PixelKernels().addFrames(stack, to: $0) }
            #expect(UInt64(sums[0]) == 65535 * UInt64(frames))
            stack.frameCount = 1
            sums.withUnsafeMutableBufferPointer { PixelKernels().addFrames(stack, to: $0) }
            #expect(sums[0] < 65535)
        }
    }
}
