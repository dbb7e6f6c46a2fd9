import CStemwireKernels

/// Exact sums of a frame's pixels p at (y, x), modulo 2^64: for frames of at most 2^20 pixels a side and counters of 24
/// bits they cannot wrap.
public struct PixelMoments: Sendable, Hashable {
    /// Σ p.
    public var sum: UInt64
    /// Σ y · p.
    public var y: UInt64
    /// Σ x · p.
    public var x: UInt64

    public init(sum: UInt64 = 0, y: UInt64 = 0, x: UInt64 = 0) {
        self.sum = sum
        self.y = y
        self.x = x
    }
}

/// What is done to pixels: sums, maxima, moments, conversions, over a stack of frames in one call.
///
/// The code is that of an instruction set level, chosen when the value is made. All results are exact integers (or
/// correctly rounded conversions), so they are the same at every level. No kernel allocates or locks; a value may be
/// used by any number of threads. Pixels are read where they are, in either byte order and at any address, so a light
/// computation needs no decoding. Pass some frames per call, best ``framesAtOnce``, so that results per pixel pass
/// through the cache once for all of them; and do several computations on the same frames in one ``perform(_:on:)``.
public struct PixelKernels: Sendable {
    /// How many frames a call takes at once: with more of them, results per pixel need not pass through the cache less
    /// often.
    public static let framesAtOnce = Int(SWK_PASS_FRAMES)

    public let instructionSet: InstructionSet
    // Points to a constant of the C target.
    nonisolated(unsafe) let table: UnsafePointer<swk_kernels>

    /// - Precondition: `instructionSet` is one of ``InstructionSet/supported``.
    public init(_ instructionSet: InstructionSet = .current) {
        guard let table = instructionSet.table else {
            preconditionFailure("this processor does not run kernels of level \(instructionSet.rawValue)")
        }
        self.instructionSet = instructionSet
        self.table = table
    }

    private func kernels(_ encoding: PixelEncoding) -> swk_pixel_kernels { table.pointee.pixel[encoding.rawValue] }

    // MARK: One work

    /// See ``PixelWork/addFrames(to:)-(UnsafeMutableBufferPointer<UInt32>)``.
    public func addFrames(_ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt32>) {
        perform(.addFrames(to: sums), on: stack)
    }

    /// sums[pixel] += Σ over frames, modulo 2^64.
    public func addFrames(_ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt64>) {
        perform(.addFrames(to: sums), on: stack)
    }

    /// See ``PixelWork/addFrames(to:squares:)``.
    public func addFrames(
        _ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt64>,
        squares: UnsafeMutableBufferPointer<UInt64>
    ) {
        perform(.addFrames(to: sums, squares: squares), on: stack)
    }

    /// See ``PixelWork/maximum(into:)``.
    public func maximum(_ stack: PixelStack, into maxima: UnsafeMutableRawBufferPointer) {
        perform(.maximum(into: maxima), on: stack)
    }

    /// sums[frame] = Σ over pixels, modulo 2^64.
    public func frameSums(_ stack: PixelStack, into sums: UnsafeMutableBufferPointer<UInt64>) {
        perform(.frameSums(into: sums), on: stack)
    }

    /// See ``PixelWork/maskedSums(_:into:)``.
    public func maskedSums(
        _ stack: PixelStack, _ mask: RunLengthMask, into sums: UnsafeMutableBufferPointer<UInt64>
    ) {
        perform(.maskedSums(mask, into: sums), on: stack)
    }

    /// See ``PixelWork/moments(over:into:)``.
    public func moments(
        _ stack: PixelStack, over mask: RunLengthMask, into moments: UnsafeMutableBufferPointer<PixelMoments>
    ) {
        perform(.moments(over: mask, into: moments), on: stack)
    }

    // MARK: Several masks

    /// sums[frame, mask] = Σ over the pixels of the mask, modulo 2^64. Every pixel is read once, however many masks it
    /// belongs to, and pixels of none are not read.
    public func maskedSums(
        _ stack: PixelStack, _ masks: RunLengthMaskSet, into sums: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(sums.count >= stack.frameCount * masks.count, "too few sums")
        precondition(masks.sigShape.pixelCount == stack.pixelCount, "masks for frames of another size")
        sums[..<(stack.frameCount * masks.count)].update(repeating: 0)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: RunLengthMaskSet.maximumRegions) { regionSums in
            for group in masks.groups where !group.runs.isEmpty {
                for frame in 0..<stack.frameCount {
                    group.runs.withUnsafeBufferPointer { runs in
                        group.regionOfRun.withUnsafeBufferPointer { regions in
                            withUnsafePointer(to: stack.frames(frame..<frame + 1).view) {
                                kernels(stack.encoding).region_sums(
                                    $0, runs.baseAddress!, regions.baseAddress!, runs.count, group.regionCount,
                                    regionSums.baseAddress!)
                            }
                        }
                    }
                    for part in group.parts {
                        sums[frame * masks.count + part.mask] &+= regionSums[part.region]
                    }
                }
            }
        }
    }

    // MARK: Pixel by pixel

    /// wide[i] += narrow[i], and narrow[i] = 0.
    public func drain(_ narrow: UnsafeMutableBufferPointer<UInt32>, into wide: UnsafeMutableBufferPointer<UInt64>) {
        precondition(wide.count >= narrow.count, "too few sums")
        guard let narrowBase = narrow.baseAddress, let wideBase = wide.baseAddress else { return }
        table.pointee.drain_u32(narrowBase, wideBase, narrow.count)
    }

    /// Frames one right behind the other as float32, [frame, y, x]; integers beyond 2^24 are rounded to nearest even.
    public func convertToFloat(_ stack: PixelStack, into pixels: UnsafeMutableBufferPointer<Float>) {
        precondition(pixels.count >= stack.frameCount * stack.pixelCount, "too few pixels")
        guard let pixels = pixels.baseAddress else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).to_float($0, pixels) }
    }

    /// Frames one right behind the other as native integers of the pixels' width (``PixelEncoding/dtype``), aligned to
    /// it, [frame, y, x]: copies native pixels and swaps the bytes of big-endian ones.
    public func convertToNative(_ stack: PixelStack, into pixels: UnsafeMutableRawBufferPointer) {
        let count = stack.frameCount * stack.pixelCount
        guard let pixels = checked(pixels, pixels: count, stack.encoding.bytesPerPixel) else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).to_native($0, pixels) }
    }

    private func checked(
        _ buffer: UnsafeMutableRawBufferPointer, pixels: Int, _ bytesPerPixel: Int
    ) -> UnsafeMutableRawPointer? {
        precondition(buffer.count >= pixels * bytesPerPixel, "too few pixels")
        guard let base = buffer.baseAddress else { return nil }
        precondition(UInt(bitPattern: base) % UInt(bytesPerPixel) == 0, "pixels are not aligned")
        return base
    }
}
