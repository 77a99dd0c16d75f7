// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {HallmarkConsumer} from "../HallmarkConsumer.sol";
import {IHallmarkVerifier} from "../interfaces/IHallmarkVerifier.sol";

/// @title The credit model's verifier
/// @notice What the pool needs of the one that `hallmark compile --hashed-inputs all` makes.
interface ICreditVerifier is IHallmarkVerifier {
    /// @notice Reverts with a named error unless the proof is valid.
    /// @param context what the proof is bound to.
    /// @param outputs the score, times its scale.
    /// @param digests the Poseidon digest of the applicant's data.
    /// @param proof as `hallmark calldata` encodes it.
    function verify(
        bytes32 context,
        int256[1] calldata outputs,
        uint256[1] calldata digests,
        uint256[16] calldata proof
    ) external view;
}

/// @title A lending pool that prices unsecured loans by a proved credit score
/// @notice An attester, who knows an applicant's financial history, registers the salted digest of it. The applicant proves the score
/// that the approved model gives to data with this digest, and borrows at the rate, and up to the limit, of that score. The chain
/// sees the score and the digest, and not the data.
///
/// Who puts the asset in has shares of the pool (ERC-4626). A share is worth its part of the cash, the principal that is lent, and
/// the interest that has come up so far. A loan has simple interest at a fixed rate, also when it is overdue, until it is repaid or
/// somebody marks it as defaulted; then the pool writes it off, and what is recovered later is a gain.
///
/// An example, not audited. What it does not have: collateral, liquidations, provisions for loans that will not be repaid (whoever
/// leaves just before a default is marked leaves the loss to the others), limits across several accounts of one person (the
/// attester must see to that), and governance beyond an admin, who should be a multisignature wallet behind a timelock. The asset
/// must be a plain ERC-20: one that takes fees on transfers is refused, one that rebases must not be used.
///
/// @dev Accounting rests on what the pool itself has counted, not on `balanceOf`: what is sent to it without a call belongs to nobody.
/// Interest is kept as an integer without division, principal times basis points times seconds, so that the sum over all loans is
/// exact: what the pool counts on is what borrowers owe, rounded down once, and a borrower owes it rounded up.
contract CreditLine is ERC4626, HallmarkConsumer, AccessControl, Pausable, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Terms of loans to applicants of at least a score.
    struct Tier {
        int128 minScore; // in the units of the verifier: times its OUTPUT0_SCALE
        uint32 rate; // basis points a year
        uint96 limit; // most that can be borrowed, in units of the asset
    }

    /// @notice What an attester says of an applicant.
    struct Attestation {
        uint256 digest;
        uint256 until; // the last second at which it holds
    }

    /// @notice A loan: its interest is that up to `updatedAt`.
    struct Loan {
        uint128 principal;
        uint32 rate; // basis points a year; 0 once it is written off
        uint40 updatedAt;
        uint40 dueAt; // 0 if there is no loan
        bool writtenOff;
        uint256 interest; // unpaid: asset units times basis points times seconds
    }

    /// @notice All loans that are not written off, as one.
    struct Book {
        uint256 principal;
        uint256 slope; // sum of principal times rate
        uint256 interest; // unpaid up to `updatedAt`, in the unit of a loan's
        uint256 updatedAt;
    }

    /// @notice Registers digests.
    bytes32 public constant ATTESTER_ROLE = keccak256("ATTESTER_ROLE");

    /// @notice Pauses at once. Only the admin resumes.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    /// @notice EIP-712 type of what a borrower's proof is made for.
    bytes32 public constant BORROW_TYPEHASH = keccak256("Borrow(uint256 amount,uint256 maxRate)");

    /// @notice What is a whole, in basis points.
    uint256 public constant BASIS_POINTS = 10_000;

    /// @notice Seconds of the year that rates are for.
    uint256 public constant YEAR = 365 days;

    /// @notice Most of the pool's assets that may be lent, in basis points: the rest is there for who wants to leave.
    uint256 public constant MAX_UTILISATION = 9_000;

    /// @notice Highest rate that a tier can have, in basis points a year.
    uint256 public constant MAX_RATE = 10_000;

    /// @notice Most tiers: a score is looked up one by one.
    uint256 public constant MAX_TIERS = 8;

    /// @notice How long after its due date a loan may be marked as defaulted.
    uint256 public constant GRACE = 14 days;

    /// @dev A unit of the asset, in units of interest.
    uint256 private constant INTEREST_UNIT = BASIS_POINTS * YEAR;

    /// @notice Verifier of the model that the pool trusts.
    ICreditVerifier public immutable VERIFIER;

    /// @notice Seconds from a loan to its due date.
    uint256 public immutable TERM;

    /// @notice Of the asset, what deposits and repayments have left in the pool.
    uint256 public cash;

    /// @notice All loans that are not written off.
    Book public book;

    /// @notice What is attested of an applicant.
    mapping(address applicant => Attestation attestation) public attestations;

    /// @notice Whose data a digest is of: no digest is two applicants'. The same data under another salt is another digest: that is for
    /// the attester to see.
    mapping(uint256 digest => address applicant) public applicants;

    /// @notice The loan of a borrower, who can have one.
    mapping(address borrower => Loan loan) public loans;

    /// @notice Who has defaulted, and gets no more loans.
    mapping(address borrower => bool defaulted) public barred;

    Tier[] private _tiers;

    /// @notice An applicant's data were attested.
    /// @param applicant whose.
    /// @param digest of the data.
    /// @param until the last second at which the attestation holds.
    /// @param attester who said so.
    event Attested(address indexed applicant, uint256 indexed digest, uint256 until, address indexed attester);

    /// @notice An attestation was taken back.
    /// @param applicant of whom it was.
    /// @param attester who took it back.
    event AttestationRevoked(address indexed applicant, address indexed attester);

    /// @notice A loan was paid out.
    /// @param borrower who owes it.
    /// @param amount principal.
    /// @param rate basis points a year.
    /// @param dueAt when it is due.
    /// @param score the score it was priced by.
    event Borrowed(address indexed borrower, uint256 amount, uint256 rate, uint256 dueAt, int256 score);

    /// @notice Something was paid back.
    /// @param borrower whose loan it was.
    /// @param payer who paid.
    /// @param interest the part that was interest.
    /// @param principal the part that was principal.
    event Repaid(address indexed borrower, address indexed payer, uint256 interest, uint256 principal);

    /// @notice A loan was written off.
    /// @param borrower who owed it.
    /// @param principal that was not paid back.
    /// @param interest that was not paid, rounded up.
    event Defaulted(address indexed borrower, uint256 principal, uint256 interest);

    /// @notice Loans have other terms from now on.
    /// @param tiers the terms, highest score first.
    event TiersSet(Tier[] tiers);

    /// @notice The verifier is of another model than the pool's makers have approved.
    /// @param expected the approved model.
    /// @param given the verifier's.
    error AnotherModel(bytes32 expected, bytes32 given);

    /// @notice A term of loans has to be between a day and ten years.
    /// @param term what was asked for.
    error TermOutOfRange(uint256 term);

    /// @notice Tiers have to be one to eight, by falling score, with rising rates and limits that do not rise.
    error TiersNotOrdered();

    /// @notice The attestation would not hold at this moment.
    /// @param until when it would end.
    error AttestationOver(uint256 until);

    /// @notice The digest is of another applicant's data, or no digest.
    /// @param digest the digest.
    error DigestTaken(uint256 digest);

    /// @notice The score was proved of other data than those that are attested, or nothing is.
    /// @param attested the attested digest, or zero.
    /// @param given the digest that the proof is for.
    error NotAttested(uint256 attested, uint256 given);

    /// @notice The attestation does not hold any more.
    /// @param until the last second at which it did.
    error AttestationExpired(uint256 until);

    /// @notice A loan of nothing, or a repayment of nothing.
    error NothingToDo();

    /// @notice There is a loan that is not repaid.
    /// @param borrower who owes it.
    error LoanOpen(address borrower);

    /// @notice There is no loan, or it is written off.
    /// @param borrower who would owe it.
    error NoLoan(address borrower);

    /// @notice The account has defaulted.
    /// @param borrower the account.
    error Barred(address borrower);

    /// @notice The score is below that of every tier.
    /// @param score the score.
    error ScoreTooLow(int256 score);

    /// @notice The rate of this score is higher than the borrower takes.
    /// @param rate the rate.
    /// @param maxRate the highest that the borrower takes.
    error RateTooHigh(uint256 rate, uint256 maxRate);

    /// @notice The amount is above the limit of this score.
    /// @param limit the limit.
    /// @param amount what was asked for.
    error AboveLimit(uint256 limit, uint256 amount);

    /// @notice The pool may not lend that much now.
    /// @param available what it may lend.
    /// @param amount what was asked for.
    error PoolExhausted(uint256 available, uint256 amount);

    /// @notice The loan is not overdue for long enough to be written off.
    /// @param from the first second at which it is.
    error NotYetDefaulted(uint256 from);

    /// @notice The asset did not arrive as it was sent.
    /// @param counted what the pool must have.
    /// @param held what it has.
    error AssetMissing(uint256 counted, uint256 held);

    /// @notice A pool without assets.
    /// @param asset_ what is lent, a plain ERC-20.
    /// @param verifier the verifier of the model.
    /// @param modelId the model that was approved: the verifier has to be its.
    /// @param term seconds from a loan to its due date.
    /// @param tiers terms by score, highest score first.
    /// @param admin who appoints the attester and the guardian, sets tiers, and unpauses.
    constructor(
        IERC20 asset_,
        ICreditVerifier verifier,
        bytes32 modelId,
        uint256 term,
        Tier[] memory tiers,
        address admin
    ) ERC4626(asset_) ERC20("Hallmark CreditLine", "hCREDIT") HallmarkConsumer("Hallmark CreditLine", "1") {
        bytes32 given = verifier.MODEL_ID();
        if (given != modelId) revert AnotherModel(modelId, given);
        if (term < 1 days || term > 10 * YEAR) revert TermOutOfRange(term);
        VERIFIER = verifier;
        TERM = term;
        book.updatedAt = block.timestamp;
        _setTiers(tiers);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Registers the digest of an applicant's data, in the place of an earlier one.
    /// @param applicant whose data they are.
    /// @param digest what `hallmark hash` says of them under a fresh salt.
    /// @param until the last second at which the attestation holds.
    function attest(address applicant, uint256 digest, uint256 until) external onlyRole(ATTESTER_ROLE) {
        if (until < block.timestamp) revert AttestationOver(until);
        address owner = applicants[digest];
        if (digest == 0 || (owner != address(0) && owner != applicant)) revert DigestTaken(digest);
        applicants[digest] = applicant;
        attestations[applicant] = Attestation(digest, until);
        emit Attested(applicant, digest, until, msg.sender);
    }

    /// @notice Takes an attestation back. Its digest stays the applicant's.
    /// @param applicant of whom it is.
    function revokeAttestation(address applicant) external onlyRole(ATTESTER_ROLE) {
        if (attestations[applicant].digest == 0) revert NotAttested(0, 0);
        delete attestations[applicant];
        emit AttestationRevoked(applicant, msg.sender);
    }

    /// @notice Pays a loan out to the caller, who has proved a score of attested data for `borrowContext`.
    /// @param amount principal.
    /// @param maxRate highest rate that the caller takes, basis points a year.
    /// @param binding what the proof was made for.
    /// @param score the model's output.
    /// @param digest of the data that it is of.
    /// @param proof that it is.
    function borrow(
        uint256 amount,
        uint256 maxRate,
        Binding calldata binding,
        int256[1] calldata score,
        uint256[1] calldata digest,
        uint256[16] calldata proof
    ) external nonReentrant whenNotPaused {
        address borrower = _msgSender();
        // what costs little first
        bytes32 context = _useSequential(binding, _borrowAction(amount, maxRate));
        _checkBorrower(borrower, digest[0]);
        uint256 rate = _price(amount, maxRate, score[0]);
        VERIFIER.verify(context, score, digest, proof);

        uint256 dueAt = block.timestamp + TERM;
        _accrue();
        book.principal += amount;
        book.slope += amount * rate;
        cash -= amount;
        // a limit is of 96 bits
        loans[borrower] = Loan(uint128(amount), uint32(rate), uint40(block.timestamp), uint40(dueAt), false, 0);
        emit Borrowed(borrower, amount, rate, dueAt, score[0]);
        IERC20(asset()).safeTransfer(borrower, amount);
    }

    /// @notice Pays a loan back, or a part of it: interest first. Works while the pool is paused.
    /// @param borrower whose loan it is; anybody may pay.
    /// @param amount at most this much. The greatest number pays everything.
    /// @return paid what was paid.
    function repay(address borrower, uint256 amount) external nonReentrant returns (uint256 paid) {
        Loan memory loan = loans[borrower];
        if (loan.dueAt == 0) revert NoLoan(borrower);
        _accrue();
        loan.interest = _interestOf(loan);
        loan.updatedAt = uint40(block.timestamp);

        uint256 owedInterest = Math.ceilDiv(loan.interest, INTEREST_UNIT);
        paid = Math.min(amount, owedInterest + loan.principal);
        // debts are counted down to exactly nothing, here and below
        // slither-disable-next-line incorrect-equality
        if (paid == 0) revert NothingToDo();
        uint256 interest = Math.min(paid, owedInterest);
        uint256 principal = paid - interest;
        // what rounding up takes beyond the interest is the pool's
        uint256 covered = Math.min(interest * INTEREST_UNIT, loan.interest);
        if (!loan.writtenOff) {
            book.interest -= covered;
            book.principal -= principal;
            book.slope -= principal * loan.rate;
        }
        cash += paid;
        loan.interest -= covered;
        loan.principal -= uint128(principal);
        // slither-disable-next-line incorrect-equality
        if (loan.principal == 0 && loan.interest == 0) delete loans[borrower];
        else loans[borrower] = loan;
        emit Repaid(borrower, _msgSender(), interest, principal);
        IERC20(asset()).safeTransferFrom(_msgSender(), address(this), paid);
        _checkCash();
    }

    /// @notice Writes a loan off that was due long ago. Anybody may, so that no one can keep it in the books.
    /// @param borrower who owes it, and gets no more loans.
    function markDefault(address borrower) external {
        Loan memory loan = loans[borrower];
        // zero is no time but stands for no loan
        // slither-disable-next-line incorrect-equality
        if (loan.dueAt == 0 || loan.writtenOff) revert NoLoan(borrower);
        uint256 from = loan.dueAt + GRACE;
        if (block.timestamp < from) revert NotYetDefaulted(from);
        _accrue();
        loan.interest = _interestOf(loan);
        loan.updatedAt = uint40(block.timestamp);
        book.interest -= loan.interest;
        book.principal -= loan.principal;
        book.slope -= uint256(loan.principal) * loan.rate;
        loan.rate = 0;
        loan.writtenOff = true;
        loans[borrower] = loan;
        barred[borrower] = true;
        emit Defaulted(borrower, loan.principal, Math.ceilDiv(loan.interest, INTEREST_UNIT));
    }

    /// @notice Sets the terms of loans to come.
    /// @param tiers terms by score, highest score first.
    function setTiers(Tier[] calldata tiers) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setTiers(tiers);
    }

    /// @notice Stops deposits and loans at once. Nobody's way out is closed: withdrawals and repayments go on.
    function pause() external onlyRole(GUARDIAN_ROLE) {
        _pause();
    }

    /// @notice Lets deposits and loans go on.
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    /// @notice What a borrower has to prove for, and pass along.
    /// @param borrower who will call `borrow`.
    /// @param amount principal, as it will be passed.
    /// @param maxRate highest rate, as it will be passed.
    /// @param deadline the last second at which the loan can be taken.
    /// @return context for `hallmark prove --context`.
    /// @return binding for `borrow`.
    function borrowContext(address borrower, uint256 amount, uint256 maxRate, uint256 deadline)
        external
        view
        returns (bytes32 context, Binding memory binding)
    {
        return sequentialContext(borrower, _borrowAction(amount, maxRate), deadline);
    }

    /// @notice What a borrower owes at this moment.
    /// @param borrower who owes it.
    /// @return amount principal and interest, rounded up.
    function owed(address borrower) external view returns (uint256 amount) {
        Loan memory loan = loans[borrower];
        return loan.principal + Math.ceilDiv(_interestOf(loan), INTEREST_UNIT);
    }

    /// @notice Terms by score, highest score first.
    /// @return tiers the terms.
    function allTiers() external view returns (Tier[] memory tiers) {
        return _tiers;
    }

    /// @notice The terms of a score.
    /// @param score the model's output.
    /// @return tier the first one whose score it reaches.
    function tierOf(int256 score) public view returns (Tier memory tier) {
        for (uint256 i = 0; i < _tiers.length; ++i) {
            tier = _tiers[i];
            if (score >= tier.minScore) return tier;
        }
        revert ScoreTooLow(score);
    }

    /// @notice What the pool may lend at this moment.
    /// @return amount in units of the asset.
    function available() public view returns (uint256 amount) {
        uint256 most = Math.mulDiv(totalAssets(), MAX_UTILISATION, BASIS_POINTS);
        return most > book.principal ? Math.min(cash, most - book.principal) : 0;
    }

    /// @notice Cash, principal that is lent, and interest up to now, rounded down.
    /// @return amount in units of the asset.
    function totalAssets() public view override returns (uint256 amount) {
        return cash + book.principal + _bookInterest() / INTEREST_UNIT;
    }

    /// @inheritdoc ERC4626
    function maxDeposit(address receiver) public view override returns (uint256 assets) {
        return paused() ? 0 : super.maxDeposit(receiver);
    }

    /// @inheritdoc ERC4626
    function maxMint(address receiver) public view override returns (uint256 shares) {
        return paused() ? 0 : super.maxMint(receiver);
    }

    /// @inheritdoc ERC4626
    function maxWithdraw(address owner) public view override returns (uint256 assets) {
        return Math.min(super.maxWithdraw(owner), cash);
    }

    /// @inheritdoc ERC4626
    function maxRedeem(address owner) public view override returns (uint256 shares) {
        return Math.min(super.maxRedeem(owner), _convertToShares(cash, Math.Rounding.Floor));
    }

    /// @dev Of every way in.
    function _deposit(address caller, address receiver, uint256 assets, uint256 shares) internal override nonReentrant {
        super._deposit(caller, receiver, assets, shares);
        cash += assets;
        _checkCash();
    }

    /// @dev Of every way out.
    function _withdraw(address caller, address receiver, address owner, uint256 assets, uint256 shares)
        internal
        override
        nonReentrant
    {
        cash -= assets;
        super._withdraw(caller, receiver, owner, assets, shares);
    }

    /// @dev Brings the book up to now. Whatever changes the slope does this first.
    function _accrue() private {
        book.interest = _bookInterest();
        book.updatedAt = block.timestamp;
    }

    function _setTiers(Tier[] memory tiers) private {
        if (tiers.length == 0 || tiers.length > MAX_TIERS) revert TiersNotOrdered();
        delete _tiers;
        for (uint256 i = 0; i < tiers.length; ++i) {
            if (tiers[i].rate > MAX_RATE) revert TiersNotOrdered();
            if (i > 0) {
                bool ordered = tiers[i].minScore < tiers[i - 1].minScore && tiers[i].rate >= tiers[i - 1].rate
                    && tiers[i].limit <= tiers[i - 1].limit;
                if (!ordered) revert TiersNotOrdered();
            }
            _tiers.push(tiers[i]);
        }
        emit TiersSet(tiers);
    }

    /// @dev Whether the caller may borrow, and the score is of attested data.
    function _checkBorrower(address borrower, uint256 digest) private view {
        if (barred[borrower]) revert Barred(borrower);
        if (loans[borrower].dueAt != 0) revert LoanOpen(borrower);
        Attestation memory attestation = attestations[borrower];
        // no digest is zero in effect: nobody knows data that have it
        if (attestation.digest == 0 || attestation.digest != digest) revert NotAttested(attestation.digest, digest);
        if (block.timestamp > attestation.until) revert AttestationExpired(attestation.until);
    }

    /// @dev The rate of the loan, if there can be one.
    function _price(uint256 amount, uint256 maxRate, int256 score) private view returns (uint256 rate) {
        if (amount == 0) revert NothingToDo();
        Tier memory tier = tierOf(score);
        if (tier.rate > maxRate) revert RateTooHigh(tier.rate, maxRate);
        if (amount > tier.limit) revert AboveLimit(tier.limit, amount);
        uint256 most = available();
        if (amount > most) revert PoolExhausted(most, amount);
        return tier.rate;
    }

    function _bookInterest() private view returns (uint256 interest) {
        return book.interest + book.slope * (block.timestamp - book.updatedAt);
    }

    function _interestOf(Loan memory loan) private view returns (uint256 interest) {
        return loan.interest + uint256(loan.principal) * loan.rate * (block.timestamp - loan.updatedAt);
    }

    /// @dev What was counted has to be there.
    function _checkCash() private view {
        uint256 held = IERC20(asset()).balanceOf(address(this));
        if (held < cash) revert AssetMissing(cash, held);
    }

    function _borrowAction(uint256 amount, uint256 maxRate) private pure returns (bytes32 action) {
        return keccak256(abi.encode(BORROW_TYPEHASH, amount, maxRate));
    }
}
