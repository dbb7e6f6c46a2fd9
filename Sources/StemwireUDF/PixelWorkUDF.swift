import StemwireKernels

/// A UDF whose work on counts is done in one pass over the frames with that of the others of its kind.
///
/// Such UDFs ask for `InputType.stack` where pixels are counts.
protocol PixelWorkUDF: TileUDF {
    /// What is to be done with the frames at these scan positions; it will be done before anything else is asked for.
    /// Nil when there is no such work: where pixels are no counts. The context is that of `process`.
    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork?
}

extension PixelWorkUDF {
    /// Does the work on a tile by itself, for a UDF that is a part of another one; false when there is none.
    func isWorkDone(on tile: FrameTile, _ context: Context) throws -> Bool {
        guard let work = try work(on: tile.positions, context) else { return false }
        PixelKernels().perform(work, on: try tile.stack())
        return true
    }
}
