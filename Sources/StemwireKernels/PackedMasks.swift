import CStemwireKernels

/// Masks in the order in which products read them: what is used together lies together, so that masks larger than the
/// caches pass through them as one stream.
///
/// A value that does not change, to be used by any number of threads.
public final class PackedMasks<Element: BinaryFloatingPoint & Sendable>: Sendable {
    public let maskCount: Int
    public let pixelCount: Int
    // Written before the initialiser ends, and never again.
    private nonisolated(unsafe) let elements: UnsafeMutablePointer<Element>

    /// - Parameter weight: The weight of a pixel in a mask.
    /// - Precondition: Counts are not negative.
    // Without, each of the many weights is moved by the type's witnesses: 130 MB of masks took a second instead of a tenth.
    @_specialize(where Element == Float)
    @_specialize(where Element == Double)
    public init(maskCount: Int, pixelCount: Int, weight: (_ mask: Int, _ pixel: Int) -> Element) {
        precondition(maskCount >= 0 && pixelCount >= 0)
        self.maskCount = maskCount
        self.pixelCount = pixelCount
        let (group, lanes) = (Int(SWK_MASK_GROUP), Self.lanes)
        let steps = (pixelCount + lanes - 1) / lanes
        let count = (maskCount + group - 1) / group * group * steps * lanes
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, count) * MemoryLayout<Element>.stride, alignment: Int(SWK_PRODUCT_BYTES))
        elements = bytes.initializeMemory(as: Element.self, repeating: 0, count: count)
        for mask in 0..<maskCount {
            let first = mask / group * group * steps * lanes + mask % group * lanes
            for pixel in 0..<pixelCount {
                elements[first + pixel / lanes * group * lanes + pixel % lanes] = weight(mask, pixel)
            }
        }
    }

    deinit { elements.deallocate() }

    /// Pixels of a step.
    private static var lanes: Int { Int(SWK_PRODUCT_BYTES) / MemoryLayout<Element>.stride }

    var view: swk_masks { swk_masks(base: elements, stride: 0, rows: maskCount) }
}
