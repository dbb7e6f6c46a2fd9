import Glibc
import MerlinProtocol
import StemwireKernels
import Testing

/// Kernels read nothing outside their frames: frames lie against pages that cannot be read, before and behind.
@Suite struct MemoryBoundsTests {
    @Test(arguments: PixelKernelsTests.cases)
    func staysInsideTheFrames(_ test: PixelKernelsTests.Case) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let memory = mmap(nil, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        #expect(memory != MAP_FAILED)
        defer { munmap(memory, 3 * page) }
        #expect(mprotect(memory + page, page, PROT_READ | PROT_WRITE) == 0)
        let kernels = PixelKernels(test.level)
        let bytes = test.encoding.bytesPerPixel
        let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { out.deallocate() }
        out.initializeMemory(as: UInt8.self, repeating: 0)

        for (height, width) in [(1, 1), (3, 5), (7, 9), (2, 67), (11, 31)] {
            let shape = SigShape(height: height, width: width)
            let frames = min(5, page / (shape.pixelCount * bytes))
            let used = frames * shape.pixelCount * bytes
            for base in [memory + page, memory + 2 * page - used] {
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
                }
            }
        }
    }
}
