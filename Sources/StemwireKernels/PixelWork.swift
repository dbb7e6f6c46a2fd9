import CStemwireKernels

/// One thing to be computed from frames, and where its results go; for ``PixelKernels/perform(_:on:)``.
///
/// A view of the results' memory, valid as long as that is.
public struct PixelWork {
    fileprivate let kind: swk_work_kind
    fileprivate let into: UnsafeMutableRawBufferPointer
    fileprivate let squares: UnsafeMutableBufferPointer<UInt64>?
    fileprivate let mask: RunLengthMask?

    private init(
        _ kind: swk_work_kind, _ into: UnsafeMutableRawBufferPointer,
        squares: UnsafeMutableBufferPointer<UInt64>? = nil, mask: RunLengthMask? = nil
    ) {
        self.kind = kind
        self.into = into
        self.squares = squares
        self.mask = mask
    }

    // MARK: Per pixel, over frames

    /// sums[pixel] += Σ over frames. Sums wrap at 2^32: after ``PixelEncoding/framesPerUInt32Sum`` frames at the
    /// earliest, or (2^32 − 1) ÷ (largest pixel value) when that is known: 1,048,832 frames at counter depth 12, 256 at
    /// 24. Empty them into 64 bits in time with ``PixelKernels/drain(_:into:)``.
    public static func addFrames(to sums: UnsafeMutableBufferPointer<UInt32>) -> PixelWork {
        PixelWork(SWK_ADD_TO_U32, UnsafeMutableRawBufferPointer(sums))
    }

    /// sums[pixel] += Σ over frames, modulo 2^64.
    public static func addFrames(to sums: UnsafeMutableBufferPointer<UInt64>) -> PixelWork {
        PixelWork(SWK_ADD_TO_U64, UnsafeMutableRawBufferPointer(sums))
    }

    /// sums[pixel] += Σ p and squares[pixel] += Σ p² over frames, modulo 2^64: squares of 24-bit counts can wrap after
    /// 65,536 frames, of 16-bit pixels not before 2^32.
    public static func addFrames(
        to sums: UnsafeMutableBufferPointer<UInt64>, squares: UnsafeMutableBufferPointer<UInt64>
    ) -> PixelWork {
        PixelWork(SWK_ADD_WITH_SQUARES, UnsafeMutableRawBufferPointer(sums), squares: squares)
    }

    /// maxima[pixel] = max(maxima[pixel], frames). Maxima are native integers of the pixels' width
    /// (``PixelEncoding/dtype``), aligned to it.
    public static func maximum(into maxima: UnsafeMutableRawBufferPointer) -> PixelWork {
        PixelWork(SWK_MAXIMUM, maxima)
    }

    // MARK: Per frame, over pixels

    /// sums[frame] = Σ over pixels, modulo 2^64.
    public static func frameSums(into sums: UnsafeMutableBufferPointer<UInt64>) -> PixelWork {
        PixelWork(SWK_FRAME_SUMS, UnsafeMutableRawBufferPointer(sums))
    }

    /// sums[frame] = Σ over the pixels of the mask, modulo 2^64. Rows without pixels of the mask are not read.
    public static func maskedSums(
        _ mask: RunLengthMask, into sums: UnsafeMutableBufferPointer<UInt64>
    ) -> PixelWork {
        PixelWork(SWK_RUN_SUMS, UnsafeMutableRawBufferPointer(sums), mask: mask)
    }

    /// moments[frame] = (Σ p, Σ y · p, Σ x · p) over the pixels of the mask: what a centre of mass is made of. For
    /// whole frames pass ``RunLengthMask/full(_:)``.
    public static func moments(
        over mask: RunLengthMask, into moments: UnsafeMutableBufferPointer<PixelMoments>
    ) -> PixelWork {
        PixelWork(SWK_MOMENTS, UnsafeMutableRawBufferPointer(moments), mask: mask)
    }

    // MARK: What is asked for

    /// Stops the program when there is no room for the results of these frames, or the mask is not for them.
    fileprivate func check(_ stack: PixelStack) {
        switch kind {
        case SWK_ADD_TO_U32: checkRoom(stack.pixelCount, of: 4)
        case SWK_ADD_TO_U64: checkRoom(stack.pixelCount, of: 8)
        case SWK_ADD_WITH_SQUARES:
            checkRoom(stack.pixelCount, of: 8)
            precondition(squares.map { $0.count >= stack.pixelCount } ?? false, "too few sums")
        case SWK_MAXIMUM: checkRoom(stack.pixelCount, of: stack.encoding.bytesPerPixel)
        case SWK_MOMENTS: checkRoom(stack.frameCount, of: MemoryLayout<PixelMoments>.stride)
        default: checkRoom(stack.frameCount, of: 8)
        }
        precondition(
            mask.map { $0.sigShape.pixelCount == stack.pixelCount } ?? true, "a mask for frames of another size")
    }

    private func checkRoom(_ count: Int, of bytes: Int) {
        precondition(into.count >= count * bytes, "too few results")
        precondition(UInt(bitPattern: into.baseAddress) % UInt(min(bytes, 8)) == 0, "results are not aligned")
    }
}

extension PixelKernels {
    /// Computes several things from the same frames in one pass: each pixel comes from memory once, and while it does,
    /// what came before is worked on. Neither allocates nor locks.
    ///
    /// - Precondition: Masks are for frames of one shape.
    public func perform(_ works: UnsafeBufferPointer<PixelWork>, on stack: PixelStack) {
        let shape = works.lazy.compactMap(\.mask).first?.sigShape
        for work in works {
            work.check(stack)
            precondition(work.mask.map { $0.sigShape == shape } ?? true, "masks for frames of different shapes")
        }
        let rowPixels = max(1, shape?.width ?? 1)
        withUnsafeTemporaryAllocation(of: swk_work.self, capacity: works.count) { descriptions in
            guard let start = descriptions.baseAddress else { return }
            describe(works, 0, start) {
                withUnsafePointer(to: stack.view) {
                    table.pointee.pixel[stack.encoding.rawValue].perform($0, start, works.count, rowPixels)
                }
            }
        }
    }

    /// Computes one thing.
    public func perform(_ work: PixelWork, on stack: PixelStack) {
        withUnsafePointer(to: work) { perform(UnsafeBufferPointer(start: $0, count: 1), on: stack) }
    }

    /// Calls `body` when all works from `index` on are described, with pointers to their masks that hold meanwhile.
    private func describe(
        _ works: UnsafeBufferPointer<PixelWork>, _ index: Int, _ descriptions: UnsafeMutablePointer<swk_work>,
        _ body: () -> Void
    ) {
        guard index < works.count else { return body() }
        let work = works[index]
        // Without pixels or frames there may be no memory; nothing is written then.
        let into = work.into.baseAddress ?? UnsafeMutableRawPointer(descriptions)
        let description = { (runs: UnsafeBufferPointer<swk_run>?) in
            swk_work(
                kind: work.kind, into: into, squares: work.squares?.baseAddress, runs: runs?.baseAddress,
                run_count: runs?.count ?? 0)
        }
        guard let mask = work.mask else {
            (descriptions + index).initialize(to: description(nil))
            return describe(works, index + 1, descriptions, body)
        }
        mask.runs.withUnsafeBufferPointer { runs in
            (descriptions + index).initialize(to: description(runs))
            describe(works, index + 1, descriptions, body)
        }
    }
}
