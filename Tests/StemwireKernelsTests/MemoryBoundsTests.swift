import Glibc
import MerlinProtocol
import StemwireKernels
import Testing

/// Kernels read nothing outside their frames: frames lie against pages that cannot be read, before and behind.
@Suite struct MemoryBoundsTests {
    /// Calls `body` with a page that can be used, between two that cannot.
    private func withGuardedPage(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let memory = mmap(nil, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        precondition(memory != MAP_FAILED)
        defer { munmap(memory, 3 * page) }
        precondition(mprotect(memory + page, page, PROT_READ | PROT_WRITE) == 0)
        try body(UnsafeMutableRawBufferPointer(start: memory + page, count: page))
    }

    @Test(arguments: InstructionSet.supported)
    func decodersStayInsideThePayload(_ level: InstructionSet) throws {
        for (layout, rawWidth, depth, payloadBytes) in [
            ("1x1", 256, 1, 3 * 32), ("2x2G", 1024, 1, 3 * 128), ("1x1", 256, 6, 768), ("2x2", 1024, 6, 3072),
            ("1x1", 256, 12, 1536), ("2x2G", 1024, 12, 2048), ("1x1", 512, 24, 3072), ("2x2", 2048, 24, 4096),
        ] {
            let format = try RawEncoder.format(
                .r64, layout: layout, width: rawWidth, height: 3, depth: CounterDepth(rawValue: depth),
                payloadBytes: payloadBytes)
            let decoder = try FrameDecoder(format, instructionSet: level)
            let image = UnsafeMutableRawBufferPointer.allocate(byteCount: decoder.imageBytes, alignment: 8)
            defer { image.deallocate() }
            withGuardedPage { page in
                decoder.decode(UnsafeRawBufferPointer(rebasing: page[..<payloadBytes]), into: image)
                decoder.decode(UnsafeRawBufferPointer(rebasing: page[(page.count - payloadBytes)...]), into: image)
            }
            #expect(image.allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: PixelKernelsTests.cases)
    func kernelsStayInsideTheFrames(_ test: PixelKernelsTests.Case) {
        withGuardedPage { useAllKernels(test, in: $0) }
    }

    private func useAllKernels(_ test: PixelKernelsTests.Case, in page: UnsafeMutableRawBufferPointer) {
        let kernels = PixelKernels(test.level)
        let bytes = test.encoding.bytesPerPixel
        let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { out.deallocate() }
        out.initializeMemory(as: UInt8.self, repeating: 0)

        for (height, width) in [(1, 1), (3, 5), (7, 9), (2, 67), (11, 31)] {
            let shape = SigShape(height: height, width: width)
            let frames = min(5, page.count / (shape.pixelCount * bytes))
            let used = frames * shape.pixelCount * bytes
            for base in [page.baseAddress!, page.baseAddress! + page.count - used] {
                let stack = PixelStack(
                    base: base, stride: shape.pixelCount * bytes, frameCount: frames, pixelCount: shape.pixelCount,
                    encoding: test.encoding)
                let wide = out.bindMemory(to: UInt64.self)
                kernels.addFrames(stack, to: wide)
                kernels.addFrames(stack, to: wide, squares: .init(rebasing: wide[4096...]))
                kernels.frameSums(stack, into: wide)
                kernels.maximum(stack, into: out)
                kernels.convertToNative(stack, into: out)
                kernels.addFrames(stack, to: out.bindMemory(to: UInt32.self))
                kernels.convertToFloat(stack, into: out.bindMemory(to: Float.self))
                let striped = RunLengthMask(sigShape: shape) { _, x in x % 4 != 1 }
                for mask in [.full(shape), striped] {
                    kernels.maskedSums(stack, mask, into: out.bindMemory(to: UInt64.self))
                    kernels.moments(stack, over: mask, into: out.bindMemory(to: PixelMoments.self))
                    let apart = { UnsafeMutableBufferPointer(rebasing: wide[($0 * 1024)...]) }
                    let works: [PixelWork] = [
                        .maskedSums(mask, into: apart(0)), .frameSums(into: apart(1)), .maximum(into: .init(apart(2))),
                        .addFrames(to: UnsafeMutableRawBufferPointer(apart(3)).bindMemory(to: UInt32.self)),
                    ]
                    works.withUnsafeBufferPointer { kernels.perform($0, on: stack) }
                    let masks = PackedMasks<Float>(maskCount: 3, pixelCount: shape.pixelCount) { Float($0 + $1) }
                    kernels.addProducts(stack, masks, to: out.bindMemory(to: Double.self))
                }
            }
        }
    }
}
