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
/// computation needs no decoding; several on the same frames run faster on frames decoded once into a block that stays
/// in the cache. Pass some frames per call, so that results per pixel pass through the cache once for all of them.
public struct PixelKernels: Sendable {
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

    // MARK: Per pixel, over frames

    /// sums[pixel] += Σ over frames. Sums wrap at 2^32: after ``PixelEncoding/framesPerUInt32Sum`` frames at the
    /// earliest, or (2^32 − 1) ÷ (largest pixel value) when that is known: 1,048,832 frames at counter depth 12, 256 at
    /// 24. Empty them into 64 bits in time with ``drain(_:into:)``.
    public func addFrames(_ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt32>) {
        precondition(sums.count >= stack.pixelCount, "too few sums")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).add_to_u32($0, sums) }
    }

    /// sums[pixel] += Σ over frames, modulo 2^64.
    public func addFrames(_ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt64>) {
        precondition(sums.count >= stack.pixelCount, "too few sums")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).add_to_u64($0, sums) }
    }

    /// wide[i] += narrow[i], and narrow[i] = 0.
    public func drain(_ narrow: UnsafeMutableBufferPointer<UInt32>, into wide: UnsafeMutableBufferPointer<UInt64>) {
        precondition(wide.count >= narrow.count, "too few sums")
        guard let narrowBase = narrow.baseAddress, let wideBase = wide.baseAddress else { return }
        table.pointee.drain_u32(narrowBase, wideBase, narrow.count)
    }

    /// sums[pixel] += Σ p and squares[pixel] += Σ p² over frames, modulo 2^64: squares of 24-bit counts can wrap after
    /// 65,536 frames, of 16-bit pixels not before 2^32.
    public func addFrames(
        _ stack: PixelStack, to sums: UnsafeMutableBufferPointer<UInt64>,
        squares: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(sums.count >= stack.pixelCount && squares.count >= stack.pixelCount, "too few sums")
        guard let sums = sums.baseAddress, let squares = squares.baseAddress else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).add_with_squares($0, sums, squares) }
    }

    /// maxima[pixel] = max(maxima[pixel], frames). Maxima are native integers of the pixels' width
    /// (``PixelEncoding/dtype``), aligned to it.
    public func maximum(_ stack: PixelStack, into maxima: UnsafeMutableRawBufferPointer) {
        guard let maxima = checked(maxima, pixels: stack.pixelCount, stack.encoding.bytesPerPixel) else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).maximum($0, maxima) }
    }

    // MARK: Per frame, over pixels

    /// sums[frame] = Σ over pixels, modulo 2^64.
    public func frameSums(_ stack: PixelStack, into sums: UnsafeMutableBufferPointer<UInt64>) {
        precondition(sums.count >= stack.frameCount, "too few sums")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: stack.view) { kernels(stack.encoding).frame_sums($0, sums) }
    }

    /// sums[frame] = Σ over the pixels of the mask, modulo 2^64. Rows without pixels of the mask are not read.
    public func maskedSums(
        _ stack: PixelStack, _ mask: RunLengthMask, into sums: UnsafeMutableBufferPointer<UInt64>
    ) {
        precondition(sums.count >= stack.frameCount, "too few sums")
        precondition(mask.sigShape.pixelCount == stack.pixelCount, "a mask for frames of another size")
        guard let base = sums.baseAddress else { return }
        guard !mask.runs.isEmpty else { return sums[..<stack.frameCount].update(repeating: 0) }
        mask.runs.withUnsafeBufferPointer { runs in
            withUnsafePointer(to: stack.view) {
                kernels(stack.encoding).region_sums($0, runs.baseAddress!, nil, runs.count, 1, base)
            }
        }
    }

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

    /// moments[frame] = (Σ p, Σ y · p, Σ x · p) over the pixels of the mask: what a centre of mass is made of. For
    /// whole frames pass ``RunLengthMask/full(_:)``.
    public func moments(
        _ stack: PixelStack, over mask: RunLengthMask, into moments: UnsafeMutableBufferPointer<PixelMoments>
    ) {
        precondition(moments.count >= stack.frameCount, "too few moments")
        precondition(mask.sigShape.pixelCount == stack.pixelCount, "a mask for frames of another size")
        guard let base = moments.baseAddress else { return }
        guard !mask.runs.isEmpty else { return moments[..<stack.frameCount].update(repeating: PixelMoments()) }
        mask.runs.withUnsafeBufferPointer { runs in
            base.withMemoryRebound(to: swk_moments.self, capacity: stack.frameCount) { moments in
                withUnsafePointer(to: stack.view) {
                    kernels(stack.encoding).moments($0, runs.baseAddress!, runs.count, moments)
                }
            }
        }
    }

    // MARK: Pixel by pixel

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
