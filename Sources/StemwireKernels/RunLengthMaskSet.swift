import CStemwireKernels
import MerlinProtocol

/// Binary masks over the same image, prepared to be applied together.
///
/// The image is cut into regions: the sets of pixels that belong to the same masks. Summing each region once gives the
/// sums of all masks, so masks that overlap cost no more than their union. Meant for masks of few long runs, such as
/// disks and rings; for speckled ones the runs are as short as in each mask alone.
public struct RunLengthMaskSet: Sendable {
    /// The image that the masks are for, (y, x).
    public let sigShape: SigShape
    /// Number of masks.
    public let count: Int
    let groups: [Group]

    /// Regions that a kernel sums in one pass.
    static let maximumRegions = Int(SWK_MAX_REGIONS)

    /// Masks whose regions are summed in one pass.
    struct Group: Sendable {
        /// In rising order.
        var runs: [swk_run] = []
        var regionOfRun: [UInt8] = []
        var regionCount = 0
        /// Which regions make up which mask.
        var parts: [(region: Int, mask: Int)] = []
    }

    /// - Precondition: there is at least one mask, and all are for images of the same shape.
    public init(_ masks: [RunLengthMask]) {
        guard let first = masks.first else { preconditionFailure("a set of no masks") }
        precondition(masks.allSatisfy { $0.sigShape == first.sigShape }, "masks for images of different shapes")
        sigShape = first.sigShape
        count = masks.count
        groups = Self.groups(masks[...])
    }

    /// As few groups as halving finds in which no more regions come together than a kernel can sum in one pass.
    private static func groups(_ masks: ArraySlice<RunLengthMask>) -> [Group] {
        if masks.count <= UInt64.bitWidth, let group = group(masks) { return [group] }
        let half = masks.startIndex + masks.count / 2
        return groups(masks[..<half]) + groups(masks[half...])
    }

    /// The regions of some masks; nil when there are too many.
    private static func group(_ masks: ArraySlice<RunLengthMask>) -> Group? {
        // Where runs begin and end, in order; what lies between two such places belongs to the same masks.
        var borders: [(pixel: UInt32, mask: UInt64)] = []
        for (bit, mask) in masks.enumerated() {
            for run in mask.runs {
                borders.append((run.start, 1 << UInt64(bit)))
                borders.append((run.start + run.count, 1 << UInt64(bit)))
            }
        }
        borders.sort { $0.pixel < $1.pixel }

        let width = UInt32(masks[masks.startIndex].sigShape.width)
        var group = Group()
        var regions: [UInt64: Int] = [:]
        var members: UInt64 = 0
        for (index, border) in borders.enumerated() {
            // A mask's run that ends where its next one begins, at the end of a row, changes its bit twice.
            members ^= border.mask
            guard members != 0, borders[index + 1].pixel > border.pixel else { continue }
            let region = regions[members] ?? regions.count
            guard region < maximumRegions else { return nil }
            regions[members] = region
            let row = border.pixel / width
            group.runs.append(
                swk_run(
                    start: border.pixel, count: borders[index + 1].pixel - border.pixel, y: row,
                    x: border.pixel - row * width))
            group.regionOfRun.append(UInt8(region))
        }
        group.regionCount = regions.count
        for (members, region) in regions {
            for bit in 0..<masks.count where members >> UInt64(bit) & 1 == 1 {
                group.parts.append((region, masks.startIndex + bit))
            }
        }
        return group
    }
}
